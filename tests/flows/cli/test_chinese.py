"""Commands, tables and pages in Chinese, by the usual variables of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.cells import cell_len

from configs.language import VARIABLES
from flows.cli import tables
from flows.cli.main import _guarded, app
from flows.cli.progress import padded
from onestep.display import text
from tasks.contract.report.page import render

MISTAKEN = """\
name: reviews
application: sentiment
data: {train: reviews.csv}
training: {epochs: many, optimiser: adam}
gate: {rule: beter}
"""


@pytest.fixture(autouse=True)
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")


def test_mistakes_in_a_pipeline_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "reviews.yaml"
    path.write_text(MISTAKEN, encoding="utf-8")
    assert _guarded(lambda: app(["check", str(path)], standalone_mode=False)) == 2
    assert capsys.readouterr().err.splitlines() == [
        f'错误：{path}:4: training.epochs: 应为整数，实际为 "many"',
        f"错误：{path}:4: training.optimiser: 未知的键 (是不是想写 `optimizer`？)",
        f"错误：{path}:5: gate.rule: 应为 'better', 'superior'或'non_inferior'，实际为 \"beter\" "
        "(是不是想写 `better`？)",
    ]


def test_a_table_is_aligned_by_the_width_of_its_characters() -> None:
    event = {
        "time": "2026-01-02T03:04:05+00:00",
        "name": "reviews",
        "version": 2,
        "event": "rolled back",
        "before": 3,
        "by": "ada",
        "why": "not promoted: accuracy 0.5000 is below its threshold 0.9",
    }
    head, row = text(tables.history([event])).splitlines()
    assert head.split() == ["UTC", "模型", "版本", "事件", "取代", "操作人", "原因"]
    assert row.split()[2:] == [
        "reviews",
        "2",
        "回滚",
        "3",
        "ada",
        "未晋升：accuracy",
        "0.5000",
        "低于阈值",
        "0.9",
    ]
    assert cell_len(head[: head.index("原因")]) == cell_len(row[: row.index("未晋升")])
    assert cell_len(padded("校验", 13)) == 13


def test_a_page_names_its_language() -> None:
    place = {"file": "a.csv", "row": 3, "split": "train"}
    rule = {"name": "missing", "severity": "quarantine", "found": 1, "looked_at": 2}
    example = place | {"reason": "text: the value is missing"}
    page = render(
        {
            "pipeline": "data",
            "verdict": "refused",
            "refusals": ["a.csv row 3: no row is left for the test split"],
            "rows": {"in": 2, "kept": 1, "quarantined": 1},
            "rules": [rule | {"examples": [example]}],
        }
    )
    assert '<html lang="zh-CN">' in page
    assert "<h1><bdi>data</bdi></h1>" in page
    assert "读入 2 行：保留 1，隔离 1，修复 0，脱敏 0。" in page
    assert "a.csv 第 3 行: test 划分没有剩下任何行" in page
    assert "text: 缺少值" in page
