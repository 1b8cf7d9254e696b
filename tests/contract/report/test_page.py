from __future__ import annotations

import re
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.sync_api import Page, expect

from tasks.contract.report import page as report
from tests.support.browser import desk_page, shared_page
from tests.support.html import CONTRASTS, POINTS_OUTSIDE, SCRIPT, Document

__all__ = ["desk_page", "shared_page"]

ROWS = {"in": 1000, "kept": 990, "quarantined": 10, "repaired": 3, "redacted": 2}
LEAST = {"pipeline": "topics", "verdict": "passed", "rows": ROWS}


def rendered(**changes: Any) -> Document:
    return Document(report.render(LEAST | changes))


def rule(name: str = "missing", **changes: Any) -> dict[str, Any]:
    base = {"name": name, "group": "form", "severity": "warn", "found": 3, "looked_at": 1000}
    return base | changes


def bars(**splits: dict[str, int]) -> dict[str, Any]:
    series = [
        {"name": name, "bins": [{"label": label, "count": n} for label, n in counts.items()]}
        for name, counts in splits.items()
    ]
    return {"title": "Labels", "kind": "bars", "series": series}


def histogram(**splits: list[tuple[float | None, float | None, int]]) -> dict[str, Any]:
    series = [
        {"name": name, "bins": [{"from": a, "to": b, "count": n} for a, b, n in bins]}
        for name, bins in splits.items()
    ]
    return {"title": "Characters", "kind": "histogram", "series": series}


def full(text: str, name: str | None = None) -> dict[str, Any]:
    """A report with everything in it, the same text wherever text may stand."""
    splits = [name] if name else ["train", "validation", "test"]
    example = {"file": text, "row": 17, "split": text, "reason": text, "text": text}
    lengths = [(0, 20, 5), (20, 40, 15)]
    written: dict[str, Any] = dict.fromkeys(("name", "group", "severity"), text)
    # Ours, not of the data: what is between backticks becomes code.
    written["documentation"] = text.replace("`", "'")
    kinds = [written | {"severity": kind} for kind in (text, *report.SEVERITIES)]
    measure = {"name": text, "measure": text, "note": text, "threshold": 0.1}
    suspect = {"split": text, "file": text, "row": 17, "given": text, "suggested": text}
    return {
        **dict.fromkeys(("pipeline", "application", "created", "digest", "drift_reference"), text),
        "verdict": "refused",
        "refusals": [text],
        "rows": ROWS,
        "splits": [{"split": split, "in": 500, "kept": 495, "quarantined": 5} for split in splits],
        "rules": [kind | {"found": 3, "looked_at": 1000, "examples": [example]} for kind in kinds],
        "distributions": [
            bars(**{split: {text: 4, "sports": 6} for split in splits}) | {"title": text},
            histogram(**dict.fromkeys(splits, lengths)) | {"title": text},
        ],
        "drift": [
            measure | {"value": 0.03, "low": 0.02, "drifted": False},
            measure | {"value": 0.3, "low": 0.2, "drifted": True},
        ],
        "label_quality": {
            "looked_at": 800,
            "suspects": [suspect | {"score": 0.04}],
            "estimated_share": 0.03,
        },
    }


def test_the_verdict_and_the_counts_come_first() -> None:
    text = " ".join(rendered(rules=[rule()]).text.split())
    counts = "1,000 rows in: 990 kept, 10 quarantined, 3 repaired, 2 redacted."
    assert f"Passed {counts}" in text
    assert text.index(counts) < text.index("missing")
    assert "topics: data contract passed" in text


def test_a_refusal_is_told_in_its_own_sentences() -> None:
    page = rendered(verdict="refused", refusals=["No row is left.", "Too many rows leave."])
    text = " ".join(page.text.split())
    assert "topics: data contract refused" in text
    assert "No row is left. Too many rows leave." in text
    assert "Passed" not in text


def test_splits_show_what_became_of_their_rows() -> None:
    splits = [
        {"split": "train", "in": 800, "kept": 792, "quarantined": 8},
        {"split": "test", "in": 200, "kept": 198, "quarantined": 2},
    ]
    assert rendered(splits=splits).table("Rows by split") == [
        ["train", "800", "792", "8 1.0%"],
        ["test", "200", "198", "2 1.0%"],
        ["All", "1,000", "990", "10 1.0%"],
    ]


def test_the_most_severe_findings_come_first_and_the_largest_of_those() -> None:
    kinds = [("a", "allow", 9), ("b", "warn", 9), ("c", "redact", 9), ("d", "quarantine", 1)]
    kinds += [("e", "quarantine", 2), ("f", "refuse", 1), ("g", "refuse", 0)]
    rules = [rule(name, severity=severity, found=found) for name, severity, found in kinds]
    html = rendered(rules=rules).html
    assert re.findall(r"<h3 id=\"finding-\d\"><bdi>(.)", html) == ["f", "e", "d", "c", "b", "a"]


def test_a_finding_names_the_file_and_row_of_its_examples() -> None:
    where = {"file": "train.csv", "row": 12345, "split": "train", "reason": "text: missing"}
    page = rendered(rules=[rule(examples=[where | {"text": None}, where | {"text": "Goal!"}])])
    assert page.table("Rows that break missing") == [
        ["train.csv row 12345 train", "text: missing"],
        ["train.csv row 12345 train", "text: missingGoal!"],
    ]
    assert "2 examples" in page.text


def test_only_examples_of_what_refuses_the_data_are_open() -> None:
    example = {"file": "a.csv", "row": 1, "split": "train", "reason": "bad", "text": None}
    rules = [rule(severity=kind, examples=[example]) for kind in ("refuse", "quarantine")]
    page = rendered(rules=rules)
    assert ["open" in attributes for tag, attributes in page.tags if tag == "details"] == [
        True,
        False,
    ]


def test_a_long_text_is_cut() -> None:
    example = {"file": "a.csv", "row": 1, "split": "train", "reason": "bad", "text": "é" * 5000}
    page = rendered(rules=[rule(examples=[example])])
    assert page.text.count("é") == 300
    assert "é…" in page.text


def test_every_rule_is_listed_by_group_with_what_it_looked_at() -> None:
    rules = [
        rule("email", group="privacy", severity="redact", found=0, documentation="An address."),
        rule("missing", found=1200),
    ]
    assert rendered(rules=rules).table("Every rule that ran") == [
        ["Form"],
        ["missing warn", "1,200", "all 1,000 rows"],
        ["Privacy"],
        ["email redactAn address.", "0", "all 1,000 rows"],
    ]


def test_the_documentation_of_a_rule_has_code_and_no_backticks() -> None:
    told = "As `contract.repair` asks, <b>."
    page = rendered(
        rules=[rule("repaired", documentation=told), rule("odd", documentation="a ` b")]
    )
    text = "As <code>contract.repair</code> asks, &lt;b&gt;."
    assert page.html.count(f"<p>{text}</p>") == 2
    assert "a ` b" in page.text


@pytest.mark.parametrize(
    ("looked_at", "total", "kept", "words"),
    [
        (1_000_000, 1_000_000, 990_000, "all 1,000,000 rows"),
        (2_000, 1_000_000, 990_000, "2,000 of 1,000,000 rows, a sample"),
        (990_000, 1_000_000, 990_000, "990,000 of 1,000,000 rows"),
        (12, 10, 10, "12 rows"),
        (1, 1, 1, "all 1 row"),
        (0, 0, 0, "no rows"),
        (None, 10, 10, ""),
    ],
)
def test_a_sample_is_called_one(looked_at: int | None, total: int, kept: int, words: str) -> None:
    rows = ROWS | {"in": total, "kept": kept}
    page = rendered(rows=rows, rules=[rule(looked_at=looked_at, found=0)])
    assert page.table("Every rule that ran")[1][-1] == words


@pytest.mark.parametrize(
    ("found", "looked_at", "share"),
    [
        (1, 100_000, "<0.1%"),
        (99_999, 100_000, ">99.9%"),
        (1, 1000, "0.1%"),
        (125, 1000, "12.5%"),
        (1000, 1000, "100%"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_to_all(found: int, looked_at: int, share: str) -> None:
    assert f"({share})" in rendered(rules=[rule(found=found, looked_at=looked_at)]).text


def test_bars_compare_splits_of_different_size() -> None:
    page = rendered(distributions=[bars(train={"a": 1500, "b": 500}, test={"b": 3, "a": 1})])
    assert page.tables["Labels: share and count in each split"] == [
        ["", "train 2,000", "test 4"],
        ["a", "75.0% 1,500", "25.0% 1"],
        ["b", "25.0% 500", "75.0% 3"],
    ]
    widths = [float(width) for width in re.findall(r"width: ([\d.]+)%\"", page.html)]
    assert widths == pytest.approx([100, 33.33, 33.33, 100])


def test_a_label_that_a_split_lacks_has_no_bar_there() -> None:
    page = rendered(distributions=[bars(train={"a": 1}, test={"b": 1})])
    assert page.table("Labels: share and count in each split") == [
        ["a", "100% 1", "0% 0"],
        ["b", "0% 0", "100% 1"],
    ]


def test_few_labels_keep_their_order() -> None:
    counts = {f"{stars} stars": stars**2 for stars in range(1, 21)}
    table = rendered(distributions=[bars(train=counts)]).table(
        "Labels: share and count in each split"
    )
    assert [row[0] for row in table] == list(counts)


def test_of_many_labels_the_largest_are_drawn_and_the_rest_summed() -> None:
    counts = {f"label {number}": number for number in range(1, 201)}
    page = rendered(distributions=[bars(train=counts, test={"label 1": 1})])
    table = page.table("Labels: share and count in each split")
    largest = ["label 1", *(f"label {number}" for number in range(200, 181, -1))]
    assert [row[0] for row in table] == [*largest, "180 more"]
    # 2 + ... + 181 of 1 + ... + 200
    assert table[-1] == ["180 more", "81.9% 16,470", "0% 0"]
    assert page.html.count('style="width:') == 2 * 20


def test_the_sum_of_the_rest_does_not_shorten_the_bars() -> None:
    plot = bars(train={f"label {number}": 5 for number in range(200)})
    page = rendered(distributions=[plot])
    assert re.findall(r"width: ([\d.]+)%\"", page.html) == ["100.0"] * 20


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1_234_567, "1,234,567"),
        (12_345.678, "12,346"),
        (2.0, "2"),
        (0.034567, "0.0346"),
        (float("inf"), "–"),
        (None, ""),
        ("many", "many"),
    ],
)
def test_numbers_are_written_for_people(value: Any, shown: str) -> None:
    measure = {"name": "labels", "measure": "distance", "value": value, "threshold": 0.1}
    [row] = rendered(drift=[measure]).table("Distance from the reference")
    assert row[2] == shown


def test_a_histogram_puts_splits_over_the_same_bins() -> None:
    plot = histogram(
        train=[(0, 20, 2), (20, 40, 1), (40, None, 1)], test=[(20, 40, 30), (None, 0, 10)]
    )
    page = rendered(distributions=[plot])
    assert page.table("Characters: count and share in each split") == [
        ["below 0", "0", "0%", "10", "25.0%"],
        ["0–20", "2", "50.0%", "0", "0%"],
        ["20–40", "1", "25.0%", "30", "75.0%"],
        ["40 and more", "1", "25.0%", "0", "0%"],
    ]


def test_a_histogram_draws_shares_and_the_first_split_again_to_compare() -> None:
    plot = histogram(train=[(0, 20, 200), (20, 40, 200)], test=[(0, 20, 1), (20, 40, 3)])
    page = rendered(distributions=[plot])
    drawn = [attributes for tag, attributes in page.tags if tag == "rect"]
    heights = [float(attributes["height"]) for attributes in drawn]
    assert heights == pytest.approx([66.67, 66.67, 33.33, 100])
    assert [float(attributes["y"]) for attributes in drawn] == pytest.approx(
        [100 - height for height in heights]
    )
    assert page.all("d")[1:] == ["M0 100V33.33H1V33.33H2V100"]


def test_a_histogram_has_a_text_alternative() -> None:
    page = rendered(distributions=[histogram(train=[(0, 1000, 1), (1000, 2000, 3)])])
    _, plot = [attributes for tag, attributes in page.tags if tag == "svg"]
    label = plot["aria-label"]
    assert label == "train: 75.0% in the fullest bin, 1,000–2,000; all numbers follow below"


def test_a_split_has_one_colour_in_every_plot() -> None:
    plots = [bars(train={"a": 1}, test={"a": 1}, other={"a": 1}), bars(test={"a": 1})]
    html = rendered(distributions=plots).html
    found = re.findall(r"swatch tint-(\d)\" aria-hidden=\"true\"></span><bdi>(\w+)", html)
    assert found == [("1", "train"), ("3", "test"), ("4", "other"), ("3", "test")]


@pytest.mark.parametrize(
    "plot",
    [
        bars(),
        bars(train={}),
        bars(train={"a": 0}),
        histogram(train=[]),
        histogram(train=[(0, 0, 0)], test=[]),
        {},
    ],
)
def test_a_plot_of_nothing_is_a_page_all_the_same(plot: dict[str, Any]) -> None:
    page = rendered(distributions=[plot])
    assert "width: 100" not in page.html.partition("</style>")[2]
    assert ("No values." in page.text) == (not page.tables)


def test_drift_is_told_in_words_and_on_a_scale_around_the_threshold() -> None:
    measure = {"name": "labels", "measure": "distance", "threshold": 0.1, "note": "As before."}
    page = rendered(
        drift=[
            measure | {"value": 0.06, "low": 0.02, "drifted": False},
            measure | {"value": 3, "low": 0.15, "drifted": True},
            measure | {"value": float("nan"), "low": None, "threshold": 0, "drifted": False},
        ],
        drift_reference="topics version 7",
    )
    assert "1 of 3 measures drifted, compared with topics version 7." in page.text
    assert [row[1:4] for row in page.table("Distance from the reference")] == [
        ["no", "0.06≥ 0.02", "0.1"],
        ["yes", "3≥ 0.15", "0.1"],
        ["no", "–", "0"],
    ]
    assert re.findall(r"span\" style=\"(.+?)\"", page.html) == [
        "left: 10.0%; width: 20.0%",
        "left: 75.0%; width: 25.0%",
    ]
    assert re.findall(r"mark\" style=\"(.+?)\"", page.html) == ["left: 30.0%", "left: 100.0%"]


def test_suspect_labels_are_listed_with_their_place() -> None:
    suspect = {"split": "train", "file": "a.csv", "row": 17, "given": "x", "suggested": "y"}
    quality = {"looked_at": 8000, "suspects": [suspect | {"score": 0.04123}]}
    page = rendered(label_quality=quality | {"estimated_share": 0.03})
    assert "8,000 labels looked at; 3.0% estimated wrong." in page.text
    assert page.table("Rows whose label may be wrong") == [
        ["a.csv row 17 train", "x", "y", "0.0412"]
    ]


def test_what_was_not_measured_is_said() -> None:
    text = rendered().text
    assert "No rule ran." in text
    assert "Not measured: these rows were not compared with those of a champion." in text
    assert "Not measured." in text
    assert "No rule found anything." in rendered(rules=[rule(found=0)]).text


def test_refused_rows_were_not_compared_whether_there_is_a_champion_or_not() -> None:
    text = rendered(verdict="refused", refusals=["train: too few rows"]).text
    assert "Not measured: the rows were refused before they could be compared" in text


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        ("2026-11-25T10:00:00Z", "2026-11-25 10:00 UTC"),
        ("2026-11-25T10:30:59+02:00", "2026-11-25 08:30 UTC"),
        ("2026-11-25T10:00:00", "2026-11-25T10:00:00"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("yesterday", "yesterday"),
    ],
)
def test_the_time_is_shown_to_the_minute(created: str, shown: str) -> None:
    assert f"· {shown}\n" in rendered(created=created).text


def test_any_part_may_be_missing_or_empty() -> None:
    whole = full("text")
    for key in whole.keys() - LEAST.keys():
        Document(report.render({name: whole[name] for name in whole if name != key}))
        Document(report.render(whole | {key: None}))
        Document(report.render(whole | {key: type(whole[key])()}))


def test_what_is_inside_a_part_may_be_missing() -> None:
    whole = full("text")
    for part in ("splits", "rules", "distributions", "drift"):
        for key in whole[part][0]:
            changed = deepcopy(whole)
            for item in changed[part]:
                del item[key]
            Document(report.render(changed))
    for key in whole["label_quality"]:
        Document(report.render(whole | {"label_quality": {key: whole["label_quality"][key]}}))


def test_no_rows_are_a_report_too() -> None:
    rows = dict.fromkeys(ROWS, 0)
    page = rendered(
        rows=rows,
        splits=[{"split": "train", "in": 0, "kept": 0, "quarantined": 0}],
        rules=[rule(found=0, looked_at=0)],
        distributions=[bars(train={}), histogram(train=[])],
        label_quality={"looked_at": 0, "suspects": [], "estimated_share": 0},
    )
    assert "0 rows in: 0\xa0kept" in page.text
    assert "0 labels looked at; 0% estimated wrong." in page.text
    assert page.table("Rows by split") == [["train", "0", "0", "0"], ["All", "0", "0", "0"]]


def test_the_page_is_alone() -> None:
    page = Document(report.render(full("https://example.org/x.png")))
    outside = [value for name in POINTS_OUTSIDE for value in page.all(name)]
    assert outside
    assert all(value.startswith("#") for value in outside)
    style = page.html.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]


def test_references_inside_the_page_lead_somewhere() -> None:
    for page in (rendered(), Document(report.render(full("text")))):
        ids = page.all("id")
        assert len(ids) == len(set(ids))
        assert {link[1:] for link in page.all("href")} <= set(ids)
        assert set(page.all("aria-labelledby")) <= set(ids)


def test_tables_have_captions_and_their_headings_a_scope() -> None:
    page = Document(report.render(full("text")))
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption") > 0
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_markup_in_the_data_is_text() -> None:
    page = Document(report.render(full(f'"><img src=x onerror=alert(1)>{SCRIPT}')))
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert not page.all("onerror")
    assert SCRIPT in page.text


def test_characters_that_html_forbids_are_made_visible() -> None:
    page = Document(report.render(full("a\x00b\x1bc\ud800d\x85e\nf")))
    page.html.encode()
    assert "a␀b␛c�d�e\nf" in page.text


@given(st.text(st.characters(), min_size=1, max_size=40))
def test_no_text_changes_the_page_around_it(text: str) -> None:
    page = Document(report.render(full(text, name=text)))
    page.html.encode()
    plain = Document(report.render(full("text", name="text")))
    assert [(tag, list(names)) for tag, names in page.tags if tag != "details"] == [
        (tag, list(names)) for tag, names in plain.tags if tag != "details"
    ]


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40))
def test_a_text_is_shown_as_it_is(text: str) -> None:
    assert Document(report.render(full(text))).text.count(text) >= 20


def show(page: Page, folder: Path, content: dict[str, Any]) -> None:
    file = folder / "report.html"
    file.write_text(report.render(content), "utf-8")
    page.goto(file.as_uri())


@pytest.mark.browser
@pytest.mark.parametrize("text", ["text", "w" * 500, "two words " * 50])
@pytest.mark.parametrize("width", [360, 700, 1280])
def test_the_page_never_scrolls_sideways(page: Page, tmp_path: Path, text: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    show(page, tmp_path, full(text))
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == width


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_shapes_stand_out(
    page: Page, tmp_path: Path, scheme: Literal["light", "dark"]
) -> None:
    page.emulate_media(color_scheme=scheme)
    content = full("text")
    content["distributions"].append(bars(**{f"split {number}": {"a": 1} for number in range(6)}))
    show(page, tmp_path, content)
    (texts, least_of_text), (shapes, least_of_shapes) = page.evaluate(CONTRASTS)
    assert texts > 100
    assert shapes > 20
    # WCAG 2.2, 1.4.3 and 1.4.11
    assert least_of_text >= 4.5
    assert least_of_shapes >= 3


@pytest.mark.browser
def test_light_and_dark_follow_the_system(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, LEAST)
    color = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(color)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(color)
    page.emulate_media(color_scheme="dark", media="print")
    assert light != dark
    assert page.evaluate(color) == light


@pytest.mark.browser
def test_the_browser_asks_for_nothing_but_the_page(page: Page, tmp_path: Path) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    show(page, tmp_path, full('<img src="https://example.org/x.png">'))
    page.wait_for_load_state("networkidle")
    assert asked == [(tmp_path / "report.html").as_uri()]


@pytest.mark.browser
def test_a_reader_finds_the_verdict_the_tables_and_the_plots(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, full("text"))
    expect(page).to_have_title("text: data contract refused")
    expect(page.get_by_text("Refused", exact=True)).to_be_visible()
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        table = page.get_by_role("table", name="text: share and count in each split")
        expect(table.get_by_role("columnheader")).to_have_count(3)
        expect(table.get_by_role("row", name="sports")).to_be_visible()
    plots = page.get_by_role("img", name="75.0% in the fullest bin, 20–40")
    expect(plots).to_have_count(3)


@pytest.mark.browser
def test_paper_shows_what_the_screen_folds_away(page: Page, tmp_path: Path) -> None:
    show(page, tmp_path, full("text"))
    suspects = page.get_by_text("Suggested")
    expect(suspects).not_to_be_visible()
    page.emulate_media(media="print")
    expect(suspects).to_be_visible()
