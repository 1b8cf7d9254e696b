"""The examples of the pages about extensions work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.docs.markdown import DOCS, blocks

PAGES = DOCS / "extending"


def defined(page: str) -> dict[str, Any]:
    """The names that the first Python block of a page defines."""
    block = next(block for block in blocks(PAGES / page) if block.language == "python")
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), names)
    return names


def test_the_optimizer_updates_parameters() -> None:
    import torch

    layer = torch.nn.Linear(2, 1)
    before = layer.weight.detach().clone()
    groups = [{"params": list(layer.parameters()), "lr": 0.1, "weight_decay": 0.0}]
    optimizer = defined("optimizers.md")["ADOPT"].build(groups, betas=(0.9, 0.99), epsilon=1e-6)
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    assert not torch.equal(layer.weight, before)


def test_the_source_reads_rows(tmp_path: Path) -> None:
    file = tmp_path / "tickets.records"
    file.write_text("text: where is it\nlabel: delivery\n\ntext: thanks\nlabel: other\n", "utf-8")
    source = defined("sources.md")["Records"](file)
    assert source.columns() == ["text", "label"]
    assert list(source.rows())[1] == (2, {"text": "thanks", "label": "other"})
