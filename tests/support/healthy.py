"""Healthy tables of every application: natural, varied rows that break no rule."""

from __future__ import annotations

from collections.abc import Sequence

from tests.support.tables import Row

SPORT = """
The striker scored twice in the last ten minutes of the match.
Rain stopped play at the tennis tournament on Friday afternoon.
Her serve was too strong for the young challenger from Spain.
Our goalkeeper broke his wrist during training last week.
The marathon starts at the old bridge and ends in the stadium.
Few swimmers have ever crossed the channel in winter.
The coach blamed the referee for a penalty that never was.
Cyclists climbed three mountain passes before noon.
A record crowd watched the women's final under the lights.
The hockey club sold its captain to a rival in the north.
She won the long jump with her very last attempt.
Both teams were tired, and nobody wanted extra time.
The rowing crew trains on the lake every morning before school.
He retired from boxing after a painful defeat in Berlin.
Skiers complained about icy slopes and poor visibility.
The league has banned two players for insulting a linesman.
Young climbers practise on an artificial wall in the gym.
Their winger ran past four defenders as if they were trees.
An injury keeps the champion out of the winter games.
Supporters sang all night after the cup came home.
Golf courses in the region suffer from a lack of water.
The sprinter slipped on the wet track and lost a shoe.
Local volunteers repaired the basketball court in the park.
The umpire changed his decision after watching the replay.
""".strip().splitlines()
COOKING = """
Let the dough rest overnight so that the crust becomes crisp.
Fresh basil tastes best when it is torn rather than cut.
My grandmother thickened every soup with stale bread.
Salt the aubergines first, then fry them in plenty of oil.
This sauce needs a spoon of mustard and a squeeze of lemon.
The bakery around the corner makes wonderful rye loaves.
Never wash mushrooms under running water; brush them instead.
Roast the carrots with honey until their edges turn brown.
A heavy pan keeps the heat and browns meat evenly.
Whisk the egg whites until they form soft peaks.
Chefs in Lyon serve the fish with butter and capers.
Pickled cabbage keeps for months in a cool cellar.
Add the rice only when the onions have become golden.
Children like pancakes with apple sauce and cinnamon.
The recipe calls for saffron, which is terribly expensive.
Grind the pepper just before you bring the plate to the table.
Leftover potatoes make a fine salad with dill and cream.
We smoked the trout over alder wood for an hour.
Too much sugar hides the taste of ripe strawberries.
Sharp knives are safer than blunt ones in any kitchen.
Her dumplings are filled with pork, ginger and spring onion.
Warm the plates so that the pasta does not cool too fast.
Good olive oil smells of grass and freshly cut herbs.
He burned the garlic, and the whole dinner tasted bitter.
""".strip().splitlines()
REVIEWS = {
    "1": """
The kettle leaked from the first day and nobody answered my letters.
What a waste of money, the zip tore within an hour.
Rude staff, cold food and a bill that was plainly wrong.
I sent this lamp back because it hummed all evening.
Their app crashes whenever I try to pay for a ticket.
The room smelled of smoke and the window would not open.
Worst haircut of my life, and I had an appointment.
After two washes the shirt had lost all its colour.
""".strip().splitlines(),
    "2": """
The chair is comfortable enough, though it wobbles a little.
Delivery was slow, but the box arrived in one piece.
An average film with one good joke near the end.
Decent coffee, nothing that I would cross the street for.
The guide spoke quickly and we missed half of the tour.
These headphones are fine for calls and poor for music.
It does what the label promises, no more and no less.
We waited twenty minutes, then the service was friendly.
""".strip().splitlines(),
    "3": """
Absolutely delighted with this tent, it kept us dry all week.
The nurse was patient and explained everything twice.
Best pillow I have owned, my neck has stopped hurting.
A charming little hotel whose owner bakes the bread herself.
My daughter loves the puzzle and starts it again every day.
Quick repair, fair price, and they even cleaned the bicycle.
The sound of this piano is warm and the keys feel right.
I would gladly recommend this dentist to anxious people.
""".strip().splitlines(),
}
PAIRS = """
The train leaves at nine o'clock.
火车九点钟开。
She has lived in Shanghai for years.
她在上海住了很多年。
Please close the window before you go.
走之前请关上窗户。
My brother works in a large hospital.
我哥哥在一家大医院工作。
The children are playing in the garden.
孩子们正在花园里玩耍。
I forgot my umbrella on the bus.
我把雨伞忘在公共汽车上了。
This soup is far too salty for me.
这个汤对我来说太咸了。
Where can I buy a map of the city?
我在哪里可以买到城市地图？
He reads the newspaper every morning.
他每天早上都看报纸。
The museum is closed on Mondays.
博物馆星期一不开门。
We walked along the river until sunset.
我们沿着河一直走到日落。
Her grandmother tells wonderful stories.
她的祖母会讲很精彩的故事。
The doctor told him to drink more water.
医生叫他多喝水。
Snow fell quietly during the night.
夜里静静地下了雪。
Can you help me carry this suitcase?
你能帮我提这个行李箱吗？
They want to learn to play the violin.
他们想学拉小提琴。
The shop sells fresh fruit and vegetables.
这家商店卖新鲜的水果和蔬菜。
Nobody knows who wrote the letter.
没有人知道这封信是谁写的。
Our teacher is very strict but fair.
我们的老师很严格，但是很公平。
The bridge was built by the Romans.
这座桥是罗马人建造的。
It is too cold to swim in the lake.
天气太冷了，不能在湖里游泳。
He apologized for being late again.
他为再次迟到而道歉。
The cat is asleep under the table.
猫在桌子底下睡着了。
Tomorrow we will visit our uncle.
明天我们要去看望叔叔。
""".strip().splitlines()
ASKED = """
The lighthouse on the cape was built in 1851 by Scottish masons.
Who built the lighthouse?
Scottish masons
Honey bees dance to tell each other where flowers grow.
Why do honey bees dance?
to tell each other where flowers grow
Ms Okafor has run the village library since the spring of 2009.
Who runs the library?
Ms Okafor
The ferry to the islands leaves from the southern pier at noon.
Where does the ferry leave?
the southern pier
Granite is hard because its crystals grew slowly underground.
What makes granite hard?
its crystals grew slowly underground
The orchestra was founded in Prague by students of the academy.
In which city did it begin?
Prague
Salmon return to the stream in which they hatched to lay eggs.
What fish comes back to lay eggs?
Salmon
The treaty was signed aboard a warship anchored in the bay.
Where was the treaty signed?
aboard a warship
Tea reached the port in wooden chests lined with lead.
How was tea packed?
in wooden chests lined with lead
The glacier has lost a third of its ice within one lifetime.
How much ice is gone?
a third
A baker named Lund invented the folding pram in his free time.
What did the baker invent?
the folding pram
Owls turn their heads because their eyes cannot move.
Why do owls turn their heads?
because their eyes cannot move
The mill ground barley until the river changed its course.
What was ground there?
barley
Every autumn the school plants one oak behind the chapel.
Which tree is planted?
one oak
The mayor opened the tunnel on a rainy Tuesday in April.
When did it open?
a rainy Tuesday in April
Ink was made from oak galls, iron salts and gum.
Which wood gave galls?
oak
""".strip().splitlines()
DOCUMENTS = """
The council met on Thursday to discuss the new tram line.
After four hours of debate a narrow majority voted for the northern route.
Council votes narrowly for northern tram route.
A storm tore the roof from the village school on Sunday night.
Nobody was hurt, and lessons go on in the church hall until summer.
Storm damages school; lessons move to church hall.
Researchers have counted the seals in the bay for thirty years.
Last winter they found more pups than in any year before.
Seal pups in the bay reach a record.
The paper mill will close in autumn, its owners said.
Two hundred people lose their jobs, and the union plans a protest.
Paper mill closes, two hundred jobs lost.
Farmers in the valley are praying for rain.
The wells are low, and the first wheat has already turned yellow.
Valley farmers wait for rain as wells run low.
An old suitcase full of letters was found in the attic of the inn.
They were written by a soldier to a girl who never answered.
Letters of a soldier found in the inn's attic.
The hospital has bought a robot that carries linen and meals.
Nurses hope that it gives them more time for their patients.
Hospital robot should give nurses more time.
Thieves stole a bronze horse from the fountain in the market square.
The police believe that they wanted the metal.
Bronze horse stolen from market fountain.
The choir has sung together since the war.
This year its youngest member is nine, and its oldest has turned ninety.
A choir with members from nine to ninety.
Wolves have come back to the forest after a century.
Shepherds demand better fences, and hikers hope to hear them howl.
Wolves return to the forest; shepherds want fences.
A teacher from the coast has walked to the capital in three weeks.
She collected money for a new school library.
Teacher walks to the capital for a library.
The brewery found a spring below its cellar.
The water is so pure that it will be sold in bottles from May.
Brewery sells water from a spring below its cellar.
The theatre reopens after a fire that destroyed the stage.
For the first night it plays the comedy that was interrupted by the flames.
Theatre reopens with the comedy that fire interrupted.
Engineers checked every bridge in the county.
Three of them are rusty and may no longer carry heavy lorries.
Three rusty bridges closed to heavy lorries.
The island has one doctor, and she retires in June.
So far nobody has applied for the post, which includes a house and a boat.
Island seeks doctor; house and boat included.
A child found a stone axe on the beach while looking for shells.
The museum says that it is older than the pyramids.
Child finds ancient stone axe on the beach.
""".strip().splitlines()


def topics() -> list[Row]:
    """Texts about two topics, in turn."""
    pairs = zip(SPORT, COOKING, strict=True)
    return [
        {"text": text, "label": label}
        for pair in pairs
        for text, label in zip(pair, ("sport", "cooking"), strict=True)
    ]


def reviews() -> list[Row]:
    """Reviews with one to three stars, in turn."""
    return [
        {"text": text, "label": label}
        for texts in zip(*REVIEWS.values(), strict=True)
        for label, text in zip(REVIEWS, texts, strict=True)
    ]


def tagged() -> list[Row]:
    """The texts about topics with several tags each, joined by bars."""
    moods = ("news", "opinion", "advice")
    return [
        {"text": row["text"], "labels": f"{row['label']}|{moods[n % 3]}"}
        for n, row in enumerate(topics())
    ]


def questions() -> list[Row]:
    """Questions with one answer each."""
    return [
        {
            "context": context,
            "question": question,
            "answers": {"text": [answer], "answer_start": [context.index(answer)]},
        }
        for context, question, answer in _by(3, ASKED)
    ]


def translations() -> list[Row]:
    """English sentences in Chinese."""
    return [{"source": source, "target": target} for source, target in _by(2, PAIRS)]


def summaries() -> list[Row]:
    """Short reports and their headlines."""
    return [
        {"document": f"{first} {second}", "summary": summary}
        for first, second, summary in _by(3, DOCUMENTS)
    ]


def _by(size: int, lines: Sequence[str]) -> list[Sequence[str]]:
    return [lines[start : start + size] for start in range(0, len(lines), size)]
