from __future__ import annotations

from pathlib import Path

import pytest

from configs.errors import ConfigError
from tasks.training import checks
from tests.support.reading import load

GOOD = "name: reviews\napplication: sentiment\ndata: {train: reviews.csv}\n"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "training:\n  optimizer:\n    name: adamax\n",
            r"yaml:6: training\.optimizer\.name: expected one of adafactor, adam, adamw, lion, "
            r"muon, sgd, found 'adamax' \(did you mean `adam`\?\)",
        ),
        (
            "compute:\n  launcher: lokal\n",
            r"yaml:5: compute\.launcher: expected one of local, found 'lokal' "
            r"\(did you mean `local`\?\)",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(
    tmp_path: Path, section: str, message: str
) -> None:
    file = tmp_path / "reviews.yaml"
    file.write_text(GOOD + section)
    with pytest.raises(ConfigError, match=message):
        load(file, checks=[checks.check])
