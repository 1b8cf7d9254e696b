from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.reading import GOOD


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "parcels.yaml"
    path.write_text(GOOD, encoding="utf-8")
    return path
