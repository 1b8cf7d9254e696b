from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from transformers.models.auto import modeling_auto

from configs.reading import load
from tasks.errors import ConfigError
from tasks.training import families
from tasks.training.families import FAMILIES, HEAD_NAMES

PIPELINE = """\
name: parcels
application: topics
data:
  train: train.csv
model:
  base: model
"""


def pipeline_on(folder: Path, config: str) -> Path:
    """A pipeline file beside a model folder with this configuration."""
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(config, encoding="utf-8")
    path = folder / "parcels.yaml"
    path.write_text(PIPELINE, encoding="utf-8")
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_the_listed_heads_are_those_of_the_installed_transformers(family: str) -> None:
    offered = {
        head for head, table in HEAD_NAMES.items() if family in getattr(modeling_auto, table)
    }
    # Transformers can also run encoders as left-to-right models, which the list leaves out.
    assert FAMILIES[family] | {"causal"} == offered | {"causal"}
    assert FAMILIES[family] <= offered


@pytest.mark.parametrize("table", HEAD_NAMES.values())
def test_the_tables_exist(table: str) -> None:
    assert "bert" in getattr(modeling_auto, table) or "t5" in getattr(modeling_auto, table)


def test_an_unlisted_family_is_looked_up() -> None:
    assert "rembert" not in FAMILIES
    assert "sequence-classification" in families.heads("rembert")
    assert families.heads("no-such-family") == frozenset()


@pytest.mark.parametrize("family", ["vit", "marian", "no-such-family"])
def test_an_impossible_family_is_refused_when_the_file_is_read(tmp_path: Path, family: str) -> None:
    path = pipeline_on(tmp_path, f'{{"model_type": "{family}"}}')
    with pytest.raises(ConfigError) as caught:
        load(path, checks=[families.check])
    (problem,) = caught.value.problems
    assert problem.where == f"{path}:6: model.base"
    assert problem.what.startswith(
        f"a {family} model has no sequence-classification head, which topics needs; "
    )
    possible = problem.what.partition("families that have one: ")[2].split(", ")
    assert {"bert", "roberta", "modernbert"} <= set(possible)
    assert not {"vit", "marian"} & set(possible)


def test_an_override_is_named_if_it_is_the_culprit(tmp_path: Path) -> None:
    path = pipeline_on(tmp_path, '{"model_type": "vit"}')
    path.write_text(PIPELINE.replace("base: model", "base: starter"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^--set model\.base: a vit model"):
        load(path, ["model.base=model"], checks=[families.check])


@pytest.mark.parametrize("config", ['{"model_type": "bert"}', '{"model_type": "t5"}'])
def test_a_possible_family_is_taken(tmp_path: Path, config: str) -> None:
    assert load(pipeline_on(tmp_path, config), checks=[families.check]).model.base == "model"


@pytest.mark.parametrize("config", ["{", "[]", "{}"])
def test_a_broken_config_is_left_to_the_base_model(tmp_path: Path, config: str) -> None:
    assert load(pipeline_on(tmp_path, config), checks=[families.check]).model.base == "model"


def test_a_listed_family_is_checked_without_transformers(tmp_path: Path) -> None:
    path = pipeline_on(tmp_path, '{"model_type": "bert"}')
    code = (
        "import sys; from pathlib import Path; from configs.reading import load; "
        "from tasks.training import families; "
        "load(Path(sys.argv[1]), checks=[families.check]); "
        "sys.exit(' '.join({'torch', 'transformers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
