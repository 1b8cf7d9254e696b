from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.contract.rules.language_detection import Detector

# Five short sentences and five long ones of each language.
SAMPLE = {
    "de": [
        "Das Paket kam zu spät an.",
        "Wo finde ich meine Rechnung?",
        "Die Schuhe sind leider zu klein.",
        "Ich möchte meine Bestellung ändern.",
        "Der Akku hält kaum einen Tag.",
        "Nach drei Wochen Wartezeit hat mir der Kundendienst endlich geantwortet, aber das Problem "
        "mit der kaputten Kaffeemaschine ist immer noch nicht gelöst.",
        "Der Stadtrat hat gestern Abend beschlossen, dass die alte Brücke im kommenden Frühjahr "
        "für den gesamten Verkehr gesperrt wird.",
        "Obwohl der Film fast drei Stunden dauert, habe ich mich keine Minute gelangweilt, denn "
        "die Schauspieler sind wirklich großartig.",
        "Bitte schicken Sie mir die Unterlagen an meine neue Adresse, weil ich seit Anfang des "
        "Monats nicht mehr in Hamburg wohne.",
        "Forscher haben herausgefunden, dass Bienen einfache Rechenaufgaben lösen können, wenn man "
        "sie dafür mit Zuckerwasser belohnt.",
    ],
    "fr": [
        "Le colis est arrivé en retard.",
        "Où se trouve ma facture ?",
        "Les chaussures sont trop petites.",
        "Je voudrais modifier ma commande.",
        "La batterie ne tient pas longtemps.",
        "Après trois semaines d'attente, le service client m'a enfin répondu, mais le problème de "
        "la machine à café n'est toujours pas résolu.",
        "Le conseil municipal a décidé hier soir que le vieux pont serait fermé à la circulation "
        "au printemps prochain.",
        "Bien que le film dure presque trois heures, je ne me suis pas ennuyé une seule minute, "
        "car les acteurs sont vraiment formidables.",
        "Veuillez m'envoyer les documents à ma nouvelle adresse, puisque je n'habite plus à Lyon "
        "depuis le début du mois.",
        "Des chercheurs ont découvert que les abeilles savent faire des calculs simples lorsqu'on "
        "les récompense avec de l'eau sucrée.",
    ],
    "es": [
        "El paquete llegó demasiado tarde.",
        "¿Dónde encuentro mi factura?",
        "Los zapatos me quedan pequeños.",
        "Quisiera cambiar mi pedido.",
        "La batería no dura ni un día.",
        "Después de tres semanas de espera me contestó por fin el servicio de atención al cliente, "
        "pero la cafetera sigue sin funcionar.",
        "El ayuntamiento decidió anoche que el puente viejo se cerrará al tráfico la próxima "
        "primavera para hacer reparaciones.",
        "Aunque la película dura casi tres horas, no me aburrí ni un minuto, porque los actores "
        "son realmente extraordinarios.",
        "Por favor, envíenme los documentos a mi nueva dirección, ya que desde principios de mes "
        "no vivo en Sevilla.",
        "Unos investigadores han descubierto que las abejas pueden resolver cuentas sencillas si "
        "se las premia con agua azucarada.",
    ],
    "it": [
        "Il pacco è arrivato in ritardo.",
        "Dove trovo la mia fattura?",
        "Le scarpe sono troppo piccole.",
        "Vorrei modificare il mio ordine.",
        "La batteria dura meno di un giorno.",
        "Dopo tre settimane di attesa il servizio clienti mi ha finalmente risposto, ma la "
        "macchina del caffè non funziona ancora.",
        "Ieri sera il consiglio comunale ha deciso che il vecchio ponte sarà chiuso al traffico "
        "nella prossima primavera.",
        "Anche se il film dura quasi tre ore, non mi sono annoiato nemmeno un minuto, perché gli "
        "attori sono davvero bravissimi.",
        "Vi prego di spedirmi i documenti al nuovo indirizzo, perché dall'inizio del mese non "
        "abito più a Torino.",
        "Alcuni ricercatori hanno scoperto che le api sanno fare semplici calcoli se vengono "
        "premiate con acqua zuccherata.",
    ],
    "pt": [
        "A encomenda chegou atrasada.",
        "Onde encontro a minha fatura?",
        "Os sapatos ficaram muito apertados.",
        "Gostaria de alterar o meu pedido.",
        "A bateria não dura um dia inteiro.",
        "Depois de três semanas de espera, o serviço de apoio respondeu finalmente, mas a máquina "
        "de café continua sem funcionar.",
        "A câmara municipal decidiu ontem à noite que a ponte velha será fechada ao trânsito na "
        "próxima primavera.",
        "Embora o filme dure quase três horas, não me aborreci um único minuto, porque os atores "
        "são realmente muito bons.",
        "Por favor, enviem os documentos para a minha nova morada, pois desde o início do mês já "
        "não vivo em Coimbra.",
        "Os investigadores descobriram que as abelhas conseguem fazer contas simples quando são "
        "recompensadas com água açucarada.",
    ],
    "nl": [
        "Het pakket kwam veel te laat.",
        "Waar vind ik mijn factuur?",
        "De schoenen zijn helaas te klein.",
        "Ik wil mijn bestelling wijzigen.",
        "De batterij gaat nog geen dag mee.",
        "Na drie weken wachten kreeg ik eindelijk antwoord van de klantenservice, maar het koffie"
        "zetapparaat doet het nog steeds niet.",
        "De gemeenteraad heeft gisteravond besloten dat de oude brug volgend voorjaar voor al het "
        "verkeer wordt afgesloten.",
        "Hoewel de film bijna drie uur duurt, heb ik me geen minuut verveeld, want de acteurs zijn "
        "echt geweldig.",
        "Stuur de papieren alstublieft naar mijn nieuwe adres, omdat ik sinds het begin van de "
        "maand niet meer in Utrecht woon.",
        "Onderzoekers hebben ontdekt dat bijen eenvoudige sommen kunnen maken als ze daarvoor met "
        "suikerwater worden beloond.",
    ],
    "sv": [
        "Paketet kom alldeles för sent.",
        "Var hittar jag min faktura?",
        "Skorna är tyvärr för små.",
        "Jag vill ändra min beställning.",
        "Batteriet räcker knappt en dag.",
        "Efter tre veckors väntan svarade kundtjänsten äntligen, men kaffebryggaren fungerar "
        "fortfarande inte som den ska.",
        "Kommunfullmäktige beslutade i går kväll att den gamla bron ska stängas för all trafik "
        "nästa vår.",
        "Trots att filmen är nästan tre timmar lång hade jag inte tråkigt en enda minut, eftersom "
        "skådespelarna är så skickliga.",
        "Var snälla och skicka handlingarna till min nya adress, eftersom jag inte längre bor kvar "
        "i Göteborg sedan månadsskiftet.",
        "Forskare har upptäckt att bin kan lösa enkla räkneuppgifter om man belönar dem med "
        "sockervatten.",
    ],
    "pl": [
        "Paczka przyszła za późno.",
        "Gdzie znajdę moją fakturę?",
        "Buty są niestety za małe.",
        "Chciałbym zmienić swoje zamówienie.",
        "Bateria nie wytrzymuje nawet dnia.",
        "Po trzech tygodniach czekania obsługa klienta wreszcie mi odpowiedziała, ale ekspres do "
        "kawy nadal nie działa.",
        "Rada miasta postanowiła wczoraj wieczorem, że stary most zostanie wiosną zamknięty dla "
        "całego ruchu.",
        "Chociaż film trwa prawie trzy godziny, nie nudziłem się ani minuty, bo aktorzy są "
        "naprawdę znakomici.",
        "Proszę wysłać dokumenty na mój nowy adres, ponieważ od początku miesiąca nie mieszkam już "
        "w Krakowie.",
        "Naukowcy odkryli, że pszczoły potrafią wykonywać proste obliczenia, jeśli nagradza się je "
        "wodą z cukrem.",
    ],
    "tr": [
        "Paket çok geç geldi.",
        "Faturamı nerede bulabilirim?",
        "Ayakkabılar maalesef küçük geldi.",
        "Siparişimi değiştirmek istiyorum.",
        "Pil bir gün bile dayanmıyor.",
        "Üç hafta bekledikten sonra müşteri hizmetleri nihayet cevap verdi, ama kahve makinesi "
        "hâlâ çalışmıyor.",
        "Belediye meclisi dün akşam eski köprünün gelecek baharda "
        "trafiğe kapatılmasına karar verdi.",
        "Film neredeyse üç saat sürmesine rağmen bir dakika bile sıkılmadım, çünkü oyuncular "
        "gerçekten harika.",
        "Lütfen belgeleri yeni adresime gönderin, çünkü ay başından beri artık İzmir'de "
        "oturmuyorum.",
        "Araştırmacılar, arıların şekerli suyla ödüllendirildiklerinde basit hesaplar "
        "yapabildiğini keşfetti.",
    ],
    "ru": [
        "Посылка пришла слишком поздно.",
        "Где найти мой счёт?",
        "Ботинки, к сожалению, малы.",
        "Я хочу изменить свой заказ.",
        "Батареи не хватает даже на день.",
        "После трёх недель ожидания служба поддержки наконец ответила мне, но кофеварка всё ещё не "
        "работает.",
        "Вчера вечером городской совет решил, что старый мост будущей весной закроют для всего "
        "транспорта.",
        "Хотя фильм идёт почти три часа, я не скучал ни минуты, потому что актёры действительно "
        "замечательные.",
        "Пожалуйста, отправьте документы на мой новый адрес, так как с начала месяца я больше не "
        "живу в Казани.",
        "Учёные обнаружили, что пчёлы умеют решать простые примеры, если награждать их сладкой "
        "водой.",
    ],
    "el": [
        "Το δέμα έφτασε πολύ αργά.",
        "Πού θα βρω το τιμολόγιό μου;",
        "Τα παπούτσια είναι μικρά.",
        "Θέλω να αλλάξω την παραγγελία μου.",
        "Η μπαταρία δεν κρατάει ούτε μία μέρα.",
        "Ύστερα από τρεις εβδομάδες αναμονής η εξυπηρέτηση πελατών μού απάντησε επιτέλους, αλλά η "
        "καφετιέρα ακόμα δεν δουλεύει.",
        "Το δημοτικό συμβούλιο αποφάσισε χθες το βράδυ ότι η παλιά γέφυρα θα κλείσει την επόμενη "
        "άνοιξη.",
        "Αν και η ταινία διαρκεί σχεδόν τρεις ώρες, δεν βαρέθηκα ούτε λεπτό, γιατί οι ηθοποιοί "
        "είναι υπέροχοι.",
        "Παρακαλώ στείλτε τα έγγραφα στη νέα μου διεύθυνση, γιατί από τις αρχές του μήνα δεν μένω "
        "πια στην Πάτρα.",
        "Οι ερευνητές ανακάλυψαν ότι οι μέλισσες λύνουν απλές πράξεις όταν ανταμείβονται με "
        "ζαχαρόνερο.",
    ],
    "ar": [
        "وصل الطرد متأخرا جدا.",
        "أين أجد الفاتورة الخاصة بي؟",
        "الحذاء صغير علي للأسف.",
        "أريد أن أغير طلبي.",
        "البطارية لا تكفي ليوم واحد.",
        "بعد ثلاثة أسابيع من الانتظار ردت علي خدمة العملاء أخيرا، لكن آلة القهوة لا تزال معطلة.",
        "قرر مجلس المدينة مساء أمس أن الجسر القديم سيغلق أمام حركة المرور في الربيع القادم.",
        "على الرغم من أن الفيلم يستغرق ثلاث ساعات تقريبا، لم أشعر بالملل دقيقة واحدة لأن الممثلين "
        "رائعون.",
        "أرجو إرسال الوثائق إلى عنواني الجديد لأنني لم أعد أسكن في القاهرة منذ بداية الشهر.",
        "اكتشف الباحثون أن النحل يستطيع حل مسائل حسابية بسيطة إذا كوفئ بماء محلى بالسكر.",
    ],
    "ja": [
        "荷物が届くのが遅すぎました。",
        "請求書はどこにありますか。",
        "靴が少し小さかったです。",
        "注文を変更したいのですが。",
        "電池が一日も持ちません。",
        "三週間待ってようやくお客様窓口から返事が来ましたが、コーヒーメーカーはまだ動きません。",
        "市議会は昨夜、古い橋を来年の春に全面通行止めにすることを決めました。",
        "映画は三時間近くありますが、俳優がとても上手なので、一分も退屈しませんでした。",
        "今月の初めから札幌には住んでいないので、書類は新しい住所に送ってください。",
        "研究者たちは、砂糖水を褒美に与えると蜂が簡単な計算をできることを発見した。",
    ],
    "ko": [
        "소포가 너무 늦게 도착했어요.",
        "제 청구서는 어디에 있나요?",
        "신발이 조금 작아요.",
        "주문을 변경하고 싶습니다.",
        "배터리가 하루도 못 가요.",
        "삼 주를 기다린 끝에 고객 센터에서 드디어 답장이 왔지만 커피 "
        "기계는 아직도 작동하지 않습니다.",
        "시의회는 어젯밤 오래된 다리를 내년 봄에 모든 차량에 대해 폐쇄하기로 결정했다.",
        "영화가 거의 세 시간이나 되지만 배우들이 정말 훌륭해서 한순간도 지루하지 않았다.",
        "이달 초부터 부산에 살지 않으니 서류를 새 주소로 보내 주시기 바랍니다.",
        "연구자들은 설탕물로 보상하면 벌이 간단한 계산을 할 수 있다는 사실을 알아냈다.",
    ],
    "zh": [
        "包裹到得太晚了。",
        "我的发票在哪里？",
        "这双鞋子太小了。",
        "我想修改我的订单。",
        "电池连一天都用不了。",
        "等了三个星期，客服终于回复我了，但是咖啡机还是不能用。",
        "市议会昨天晚上决定，那座旧桥将在明年春天对所有车辆关闭。",
        "虽然电影差不多有三个小时，可是演员演得非常好，我一分钟也没觉得无聊。",
        "請把文件寄到我的新地址，因為從這個月初開始我就不住在臺北了。",
        "研究人员发现，如果用糖水作为奖励，蜜蜂可以做简单的算术题。",
    ],
}

ENGLISH = [
    "The parcel came much too late.",
    "Where do I find my invoice?",
    "no movement , no yuks , not much of anything",
    "LOVED THIS PRODUCT!!! WILL BUY AGAIN AND AGAIN",
    "omg lol that was soooo good!!! luv it xoxo",
    "u r the best thx so much 4 ur help",
    "gr8 phone 4 the price, thx amazon",
    "it's a bit meh tbh, wouldn't recommend",
    "ya sure mate no worries",
    "RT @user: check dis out http://t.co/abc123",
    "https://www.example.com/produits/chaussures?id=4711&lang=fr",
    "def main(argv): return sum(int(x) for x in argv[1:])",
    "SELECT name, COUNT(*) FROM users GROUP BY name ORDER BY 2 DESC;",
    "iPhone 15 Pro Max 256GB Titanium Blue Unlocked",
    "AAPL GOOG MSFT TSLA NVDA AMZN META",
    "patient c/o SOB x3d, hx HTN, DM2, r/o MI, pt stable",
    "Order no. 12-3456-789, SKU AB-99-XL, qty 3",
    "Arnold Schwarzenegger, Jürgen Klopp, Zlatan Ibrahimović",
    "Real Madrid beat Bayern München 2-1 at Santiago Bernabéu",
    "Gazprom, Rosneft, Yukos, Lukoil and Sibneft shares slid in Moscow",
    "Kofi Annan, Thabo Mbeki and Olusegun Obasanjo met in Abuja",
    "Spaghetti alla carbonara, tiramisu and a bottle of Chianti, please",
    "I had a déjà vu at the café on the Champs-Élysées.",
    "When did Beyoncé perform with Frédéric for the first time?",
    "Who did the 5th Dalai Lama beg for help from?",
    "asdfghjkl qwertyuiop zxcvbnm",
    "The German word for a butterfly is Schmetterling, and the French one is papillon.",
]


@pytest.mark.parametrize("language", SAMPLE)
def test_a_foreign_sentence_is_noticed_and_its_language_named(language: str) -> None:
    assert Detector("en").wrong(SAMPLE[language][5:]) == [language] * 5


def test_most_short_foreign_sentences_are_noticed_too() -> None:
    named = [
        (language, found)
        for language, texts in SAMPLE.items()
        for found in Detector("en").wrong(texts[:5])
    ]
    assert sum(found is not None for _, found in named) >= 0.95 * len(named)
    assert sum(found == language for language, found in named) >= 0.95 * len(named)


def test_english_of_all_kinds_raises_no_alarm() -> None:
    assert Detector("en").wrong(ENGLISH) == [None] * len(ENGLISH)


@pytest.mark.parametrize("language", SAMPLE)
def test_no_text_is_foreign_in_its_own_language(language: str) -> None:
    assert Detector(language).wrong(SAMPLE[language]) == [None] * 10


@pytest.mark.parametrize(
    ("code", "language"),
    [
        ("zh_CN", "zh"),
        ("cmn", "zh"),
        ("zh-Hant", "zh"),
        ("yue", "zh"),
        ("deu", "de"),
        ("deu_Latn", "de"),
        ("ger", "de"),
        ("DE", "de"),
        ("arb_Arab", "ar"),
        ("pt_BR", "pt"),
    ],
)
def test_codes_of_every_standard_are_taken(code: str, language: str) -> None:
    detector = Detector(code)
    assert detector.knows
    assert detector.wrong([SAMPLE[language][7], SAMPLE["ru"][7]]) == [None, "ru"]


@pytest.mark.parametrize("code", ["tlh", "multilingual", "", "_", "zxx"])
def test_of_an_unknown_language_nothing_is_said(code: str) -> None:
    detector = Detector(code)
    assert not detector.knows
    assert detector.wrong(SAMPLE["ru"]) == [None] * 10


@pytest.mark.parametrize(
    "text",
    ["", " ", "Danke!", "Ja, nein.", "你好", "Привет", "12 - 34 %", "2021年5月12日 14:30", "😀"],
)
def test_a_short_text_is_never_sure(text: str) -> None:
    assert Detector("en").wrong([text]) == [None]


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        (
            "no",
            "Byrådet besluttede i går aftes, at den gamle bro lukkes for al trafik til foråret.",
        ),
        (
            "nb",
            "Byrådet besluttede i går aftes, at den gamle bro lukkes for al trafik til foråret.",
        ),
        (
            "da",
            "Bystyret vedtok i går kveld at den gamle brua skal stenges for all trafikk til våren.",
        ),
        ("da", "Eg veit ikkje kvifor pakka ikkje har kome enno, men eg har venta i tre veker no."),
        ("zh", "我哋琴晚先至收到個包裹，但係部咖啡機仲係開唔到，真係好激氣呀。"),
        (
            "hr",
            "Градско веће је синоћ одлучило да ће стари мост на "
            "пролеће бити затворен за саобраћај.",
        ),
        (
            "sk",
            "Městská rada včera večer rozhodla, že starý most bude na jaře uzavřen pro dopravu.",
        ),
        (
            "gl",
            "A câmara municipal decidiu ontem à noite que a ponte velha será fechada na primavera.",
        ),
    ],
)
def test_close_relatives_are_not_told_apart(declared: str, text: str) -> None:
    detector = Detector(declared)
    assert detector.knows
    assert detector.wrong([text]) == [None]
    assert Detector("en").wrong([text]) != [None]


def test_a_relative_that_is_foreign_is_called_by_its_own_name() -> None:
    danish = "Byrådet besluttede i går aftes, at den gamle bro lukkes for al trafik til foråret."
    cantonese = "我哋琴晚先至收到個包裹，但係部咖啡機仲係開唔到，真係好激氣呀。"
    assert Detector("en").wrong([danish, cantonese]) == ["da", "zh"]


def test_a_text_half_in_one_language_and_half_in_another_is_left_alone() -> None:
    mixed = f"{SAMPLE['de'][0]} The parcel came much too late, and nobody told me."
    assert Detector("en").wrong([mixed]) == [None]


def test_answers_stand_in_the_order_of_the_texts() -> None:
    texts = [SAMPLE["de"][6], ENGLISH[0], SAMPLE["fr"][6], "", SAMPLE["ko"][6]]
    assert Detector("en").wrong(texts) == ["de", None, "fr", None, "ko"]
    assert Detector("en").wrong([]) == []


@given(st.text(st.characters(), max_size=400))
def test_no_text_raises(text: str) -> None:
    (found,) = Detector("en").wrong([text])
    assert found is None or found.isalpha()


OFFLINE = """
import sys
sys.addaudithook(lambda event, _: sys.exit(event) if event.startswith("socket.") else None)
from tasks.contract.rules.language_detection import Detector
assert "py3langid" not in sys.modules
assert Detector("en").wrong([sys.argv[1]]) == ["de"]
"""


def test_the_model_comes_with_the_package_and_loads_when_it_is_needed() -> None:
    subprocess.run([sys.executable, "-c", OFFLINE, SAMPLE["de"][6]], check=True, timeout=60)
