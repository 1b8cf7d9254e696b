"""Text in an encoding is read as it was written, or it is asked; it is never read otherwise."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.text.encodings import Encoding, UnknownEncodingError, declared, detect, marked, wide

SENTENCES = {
    "de": "Die Lieferung kam zu spät.|Niemand ließ mich wissen, warum.|Größe passt nicht|Schade!|"
    "Rücksendung über München läuft|Sehr schöne Qualität, gerne wieder|Das Gerät lässt sich öffnen",
    "fr": "Le café était très bon, merci à l'équipe.|La livraison a été retardée|Où est-ce ?|"
    "Très déçu par la qualité du produit|Ça marche très bien, je suis comblé|"
    "Hôtel à éviter, où dîner",
    "es": "El envío llegó tarde y la caja estaba dañada.|¿Dónde está mi pedido?|"
    "Muy buena calidad, lo recomendaré mañana a mi señora|Página caída, ¿qué pasó?",
    "sv": "Leveransen kom för sent och lådan var skadad|Mycket bra kvalitet, jag är nöjd|Går på",
    "pl": "Przesyłka dotarła za późno i była uszkodzona|Bardzo dobra jakość, polecam każdemu|"
    "Nie działa, proszę o zwrot pieniędzy|Świetna obsługa, dziękuję",
    "cs": "Zásilka přišla pozdě a byla poškozená|Velmi dobrá kvalita, doporučuji každému|Děkuji",
    "ru": "Посылка пришла слишком поздно.|Очень хорошее качество, рекомендую всем|Не работает|"
    "Верните деньги, пожалуйста|Спасибо за быструю доставку",
    "el": "Η παράδοση άργησε πολύ.|Πολύ καλή ποιότητα, το συνιστώ.|Δεν λειτουργεί, θέλω τα χρήματα",
    "tr": "Kargo çok geç geldi ve ürün hasarlıydı.|Çok iyi kalite, herkese öneririm.|Çalışmıyor",
    "zh": "快递太慢了，等了两个星期。|质量非常好，推荐大家购买。|不能开机，请退款|谢谢客服的帮助",
    "tw": "快遞太慢了，等了兩個星期。|品質非常好，推薦大家購買。|不能開機，請退款|"
    "謝謝客服的幫助，很滿意",
    "ja": "配達がとても遅かったです。|品質が良いのでおすすめします。|電源が入りません。|ありがとう",
    "ko": "배송이 너무 늦었습니다.|품질이 아주 좋아서 추천합니다.|전원이 켜지지 않아요|"
    "환불해 주세요",
    "he": "המשלוח הגיע מאוחר מדי|איכות טובה מאוד|לא עובד, אני רוצה החזר",
    "th": "สินค้ามาส่งช้ามาก|คุณภาพดีมาก แนะนำเลย|เปิดไม่ติด ขอคืนเงิน",
}
ENCODINGS = {
    **dict.fromkeys(("de", "fr", "es", "sv"), ("cp1252", "mac-roman", "cp850", "iso8859-15")),
    **dict.fromkeys(("pl", "cs"), ("cp1250", "iso8859-2", "cp852")),
    "ru": ("cp1251", "koi8-r", "cp866", "iso8859-5", "mac-cyrillic"),
    "el": ("cp1253", "iso8859-7"),
    "tr": ("cp1254",),
    "zh": ("gb18030", "gbk"),
    "tw": ("big5", "gb18030"),
    "ja": ("cp932", "euc_jp"),
    "ko": ("cp949",),
    "he": ("cp1255",),
    "th": ("cp874",),
}
SURE = {
    **{"de": "cp1252", "fr": "cp1252", "es": "cp1252", "sv": "cp1252", "pl": "cp1250"},
    **{"cs": "cp1250", "ru": "cp1251", "el": "cp1253", "tr": "cp1254", "zh": "gb18030"},
    **{"tw": "big5", "ja": "cp932", "ko": "cp949"},
}


ENGLISH = "I don’t like it,bad\nthey’re rude,bad\nWe couldn’t open the “best” box…,bad\n"


def table(sentences: Sequence[str], separator: str = ";") -> str:
    rows = [f"{text}{separator}{'ab'[n % 2]}" for n, text in enumerate(sentences)]
    return "\r\n".join([f"text{separator}label", *rows, ""])


def name_of(content: bytes, usual: str | None = None) -> str:
    return detect(io.BytesIO(content), usual).name


def readings(content: bytes, usual: str | None = None) -> list[str]:
    """The text that is read, or those that are asked about."""
    try:
        names: Sequence[str] = [name_of(content, usual)]
    except UnknownEncodingError as error:
        names = error.names
    return [content.decode(name, "replace") for name in names]


def asked(content: bytes, usual: str | None = None) -> UnknownEncodingError:
    with pytest.raises(UnknownEncodingError) as caught:
        name_of(content, usual)
    return caught.value


@pytest.mark.parametrize("language", SURE)
def test_a_usual_file_of_each_language_is_read(language: str) -> None:
    text = table(SENTENCES[language].split("|"))
    encoding = SURE[language]
    assert text.encode(encoding).decode(name_of(text.encode(encoding))) == text


@given(st.data())
def test_a_text_is_read_as_it_was_written_or_asked(data: st.DataObject) -> None:
    language = data.draw(st.sampled_from(sorted(SENTENCES)))
    encoding = data.draw(st.sampled_from(ENCODINGS[language]))
    sentences = st.sampled_from(SENTENCES[language].split("|"))
    lower = data.draw(st.booleans())
    text = table(data.draw(st.lists(sentences, max_size=8)), data.draw(st.sampled_from(",;\t|")))
    text = text.lower() if lower else text
    content = text.encode(encoding, "ignore")
    try:
        found = name_of(content)
    except UnknownEncodingError:
        return
    assert content.decode(found) == content.decode(encoding)


FULL = {
    **{language: text.split("|") for language, text in SENTENCES.items()},
    "en": ["I don’t like it", "It’s “bad”…", "a naïve café", "Thank\xa0you all", "they’re rude"],
    "pt": ["A entrega não chegou", "Ótima qualidade, recomendação", "coração partido"],
    "it": ["La qualità è pessima", "perché no", "città più bella"],
    "hu": ["Árvíztűrő tükörfúrógép", "Nagyon rossz minőség"],
    "uk": ["Дуже погана якість", "Їжа не смачна, є питання"],
    "ar": ["جودة سيئة جدا", "لم يصل الطلب"],
    "lt": ["Labai prasta kokybė", "Ačiū už greitą pristatymą"],
}
ALL_ENCODINGS = [
    *("cp1252", "latin-1", "iso8859-15", "mac-roman", "cp850", "cp1250", "iso8859-2", "cp852"),
    *("cp1251", "koi8-r", "koi8-u", "cp866", "iso8859-5", "mac-cyrillic", "cp1253", "iso8859-7"),
    *("cp1254", "cp1257", "cp1255", "cp1256", "cp874", "cp862"),
    *("gb18030", "gbk", "big5", "cp932", "euc_jp", "cp949"),
]


def can_encode(text: str, encoding: str) -> bool:
    return text.encode(encoding, "ignore").decode(encoding) == text


PAIRS = [
    # A few words of Chinese in a Japanese encoding may be others; longer texts have a test below.
    (language, encoding)
    for language, sentences in FULL.items()
    for encoding in ALL_ENCODINGS
    if can_encode("".join(sentences), encoding)
    and not (language in ("zh", "tw") and encoding == "euc_jp")
]


@settings(max_examples=200)
@given(
    st.sampled_from(PAIRS),
    st.lists(st.integers(0, 7), min_size=1, max_size=12),
    st.booleans(),
    st.sampled_from([*[False] * 9, True]),
)
def test_any_language_in_any_encoding_is_read_as_it_was_written_or_asked(
    pair: tuple[str, str], picked: list[int], is_usual: bool, is_late: bool
) -> None:
    language, encoding = pair
    head = ENGLISH * 1400 if is_late and can_encode(ENGLISH, encoding) else ""
    sentences = FULL[language]
    text = head + table([sentences[at % len(sentences)] for at in picked])
    content = text.encode(encoding)
    try:
        found = name_of(content, encoding if is_usual else None)
    except UnknownEncodingError:
        return
    assert content.decode(found) == text


@pytest.mark.parametrize(
    "lines",
    [
        ["建立實際連結", "更多資訊，請執行", "確定", "最小指令長度："],
        ["巴基斯坦伊斯蘭共和國"],
        ["文件不存在", "部件的工具提示的内容"],
        ["実行可能ファイルが見つかりませんでした", "デバイスマネージャー", "サーバ側のファイル"],
    ],
)
def test_two_readings_of_ideographs_are_asked_about(lines: list[str]) -> None:
    assert {"gb18030", "euc_jp"} <= {*asked(table(lines).encode("euc_jp")).names}


def test_a_line_that_is_utf8_too_may_be_japanese_without_kana() -> None:
    content = table(["名", *SENTENCES["ja"].split("|")]).encode("euc_jp")
    assert content.splitlines()[1].decode() == "\u033e;a"
    assert "euc_jp" in asked(content).names


def test_two_lines_of_chinese_are_enough() -> None:
    for pair in itertools.combinations(SENTENCES["zh"].split("|"), 2):
        assert name_of(table(pair).encode("gb18030")) == "gb18030"


@pytest.mark.parametrize("text", ["I don’t like it – really\n", "It’s a “bad” one\n"])
def test_english_in_an_encoding_of_chinese_is_read(text: str) -> None:
    assert readings((text * 9).encode("gb18030")) == [text * 9]


@given(st.text(), st.sampled_from(["", "cp1252", "gb18030"]))
@example("联通", "gb18030")
def test_utf8_stays_utf8(text: str, usual: str) -> None:
    assert name_of(text.encode(errors="replace"), usual or None) == "utf-8"


@pytest.mark.parametrize("good", [1, 3, 300])
def test_a_bad_byte_in_utf8_is_not_another_encoding(good: int) -> None:
    content = "Größe passt\n".encode() * good + b"Gr\xf6\xdfe passt\n"
    with pytest.raises(UnknownEncodingError) as caught:
        name_of(content)
    assert caught.value.damaged


def test_a_few_odd_bytes_may_be_damage() -> None:
    with pytest.raises(UnknownEncodingError) as caught:
        name_of(b"plain\n" * 100 + b"caf\xe9\n")
    assert caught.value.names == ("cp1252",)
    assert not caught.value.damaged


def test_two_readings_are_told_with_a_byte_that_shows_the_difference() -> None:
    content = "Le café très bon, là\n".encode("cp1252")
    with pytest.raises(UnknownEncodingError) as caught:
        name_of(content)
    assert caught.value.names == ("cp1252", "cp1250")
    assert caught.value.difference == "byte 0xe0 is à in cp1252, ŕ in cp1250"
    assert name_of(content, "windows-1252") == "cp1252"
    assert name_of(content, "cp1250") == "cp1250"


def test_the_usual_encoding_is_asked_about_where_another_fits_better() -> None:
    content = table(SENTENCES["ru"].split("|")).encode("cp1251")
    assert asked(content, "cp1252").names == ("cp1251", "cp1252")


@pytest.mark.parametrize(
    ("text", "usual"),
    [
        ("I don’t like it – really\nIt’s a bad café\n", "gb18030"),
        ("Доставка опоздала и клиент недоволен\n", "gb18030"),
        ("I don’t like it\nThey won’t answer\n", "cp932"),
        ("Thank\xa0you for the quick help\nIt was empty and\xa0nobody answered\n", "cp1252"),
        (table(SENTENCES["he"].split("|")), "cp862"),
        (table(SENTENCES["th"].split("|")), "cp874"),
        (table(SENTENCES["de"].split("|")), "latin-1"),
        (table(SENTENCES["zh"].split("|")), "gbk"),
    ],
)
def test_the_usual_encoding_reads_its_own_text(text: str, usual: str) -> None:
    content = text.encode(usual)
    assert content.decode(name_of(content, usual)) == text


@pytest.mark.parametrize("usual", ["cp850", "cp866", "latin-1"])
def test_a_usual_encoding_that_gives_odd_text_is_asked_about(usual: str) -> None:
    content = table(SENTENCES["el"].split("|")).encode("cp1253")
    assert asked(content, usual).names[0] == "cp1253"


@pytest.mark.parametrize(
    ("head", "tail", "encoding"),
    [
        (ENGLISH, "Очень плохое качество\n", "cp1251"),
        (ENGLISH, "Bardzo zła jakość, źle świętość\n", "cp1250"),
        (ENGLISH, "Πολύ κακή ποιότητα\n", "cp1253"),
        (ENGLISH, "Çok kötü, ılık şehir, ağaç\n", "cp1254"),
        (ENGLISH, "איכות גרועה מאוד\n", "cp1255"),
        (ENGLISH, "质量非常差，我不会再买了\n", "gb18030"),
        ("Größe für Müller schön\n", "Bardzo zła jakość, źle świętość\n", "cp1250"),
    ],
)
@pytest.mark.parametrize("usual", [None, "cp1252"])
def test_another_language_far_down_is_seen(
    head: str, tail: str, encoding: str, usual: str | None
) -> None:
    content = (head * 2000 + tail * 3).encode(encoding)
    assert any(text.endswith(tail) for text in readings(content, usual))


@pytest.mark.parametrize("encoding", ["cp1252", "gb18030"])
@pytest.mark.parametrize("usual", [None, "same"])
def test_utf8_far_down_is_seen(encoding: str, usual: str | None) -> None:
    text = {"cp1252": "Größe für Müller schön\n", "gb18030": "质量非常差，我不会再买了\n"}[encoding]
    caught = asked(text.encode(encoding) * 2000 + text.encode() * 1000, usual and encoding)
    assert caught.damaged
    assert caught.names == (encoding,)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Доставка опоздала и клиент недоволен\n", "gb18030"),
        ("Доставка опоздала и клиент недоволен\n", "cp949"),
        ("La qualité est très mauvaise\nLe café était fermé\n", "gb18030"),
        ("I don’t like it – really\nIt’s a bad café\n", "gb18030"),
        ("I don’t like it\nThey won’t answer\n", "cp932"),
        ("Thank\xa0you for the quick help\nIt was empty and\xa0nobody answered\n", "cp1252"),
    ],
)
def test_other_languages_in_encodings_of_asia_are_read_or_asked(text: str, encoding: str) -> None:
    content = (text * 50).encode(encoding)
    assert content.decode(encoding) in readings(content)


@pytest.mark.parametrize(("language", "break_"), [("de", " "), ("ru", "\r"), ("zh", '","')])
def test_a_file_of_one_line_is_told_by_parts_of_it(language: str, break_: str) -> None:
    text = break_.join(SENTENCES[language].split("|") * 5000)
    content = text.encode(SURE[language])
    started = time.process_time()
    assert content.decode(name_of(content)) == text
    assert time.process_time() - started < 5


def test_bytes_that_are_no_text_are_not_read() -> None:
    with pytest.raises(UnknownEncodingError) as caught:
        name_of(bytes(range(128, 256)) * 4)
    assert caught.value.names == ()


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("language", ["de", "zh", "ja", "ru"])
def test_wide_units_are_told_without_a_mark(encoding: str, language: str) -> None:
    content = table(SENTENCES[language].split("|")).encode(encoding)
    assert wide(content) == Encoding(encoding)
    assert declared(encoding[:6], content) == Encoding(encoding)


@pytest.mark.parametrize(
    "content",
    [
        *(b"\0" * 64, b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"a\0b,\n"),
        *(b"text,label\nok\0,good\n\n", b"y,good\0\nok", b"ab\0\ntext,abc\0,good\n"),
        b"ll,\0y \n\0great ,\0pro\0duc",
    ],
)
def test_zeros_in_binary_data_are_not_wide_units(content: bytes) -> None:
    assert wide(content) is None


def test_a_mark_comes_first() -> None:
    assert marked("\ufeffa".encode("utf-16-le")) == Encoding("utf-16-le", 2)
    assert marked("\ufeffa".encode("utf-32-le")) == Encoding("utf-32-le", 4)
    assert marked("\ufeffa".encode()) == Encoding("utf-8", 3)
    assert marked(b"a") is None


def test_which_encodings_keep_ascii() -> None:
    keeping = ("utf-8", "cp1252", "gb18030", "big5", "cp932")
    assert all(Encoding(name).keeps_ascii for name in keeping)
    others = ("utf-16-le", "utf-32-be", "iso2022_jp", "cp037")
    assert not any(Encoding(name).keeps_ascii for name in others)
