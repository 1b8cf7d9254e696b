from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from transformers import CONFIG_MAPPING, AutoModelForCausalLM
from transformers.models.auto import modeling_auto

from configs.errors import ConfigError
from tasks.training.model import families
from tasks.training.model.families import FAMILIES, HEAD_NAMES
from tests.support.reading import load

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
    listed = FAMILIES[family] - {"pair-encoder", "pair-decoder"}
    # Transformers can also run encoders as left-to-right models, which the list leaves out.
    assert listed | {"causal"} == offered | {"causal"}
    assert listed <= offered


@pytest.mark.parametrize("family", families.able("pair-decoder"))
def test_the_right_half_of_a_pair_can_look_at_the_left(family: str) -> None:
    kind = CONFIG_MAPPING[family]
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    if family == "gpt2":
        small = {"n_embd": 8, "n_layer": 1, "n_head": 2}
    config = kind(**small, is_decoder=True, add_cross_attention=True, vocab_size=20)
    model = AutoModelForCausalLM.from_config(config)
    assert any("crossattention" in name for name, _ in model.named_parameters())


@pytest.mark.parametrize("table", HEAD_NAMES.values())
def test_the_tables_exist(table: str) -> None:
    assert "bert" in getattr(modeling_auto, table) or "t5" in getattr(modeling_auto, table)


def test_an_unlisted_family_is_looked_up() -> None:
    assert "rembert" not in FAMILIES
    assert "sequence-classification" in families.abilities("rembert")
    assert families.abilities("no-such-family") == frozenset()


@pytest.mark.parametrize(
    ("family", "application", "head"),
    [
        ("bert", "topics", "sequence-classification"),
        ("bert", "questions", "question-answering"),
        ("bert", "translation", None),
        ("bart", "translation", "seq2seq"),
        ("gpt2", "translation", "causal"),
        ("gpt2", "topics", "sequence-classification"),
        ("marian", "summarization", "seq2seq"),
        ("marian", "topics", None),
    ],
)
def test_the_first_head_that_a_family_has_is_chosen(
    family: str, application: str, head: str | None
) -> None:
    assert families.choose_head(family, application) == head


@pytest.mark.parametrize(
    ("encoder", "application", "decoder", "reason"),
    [
        ("bert", "translation", "bert", ""),
        ("roberta", "summarization", "gpt2", ""),
        ("modernbert", "translation", "bert", ""),
        ("bert", "topics", "bert", "a pair of encoders writes text, which topics does not need"),
        (
            "gpt2",
            "translation",
            "bert",
            "a gpt2 model cannot be the encoder of a pair; families that can: ",
        ),
        (
            "bert",
            "translation",
            "modernbert",
            "a modernbert model cannot be the decoder of a pair; famil",
        ),
        ("bert", "translation", None, "or use it as the encoder of a pair: model.decoder: {base"),
    ],
)
def test_pairs_are_refused_with_what_can(
    encoder: str, application: str, decoder: str | None, reason: str
) -> None:
    found = families.refusal(encoder, application, decoder)
    assert reason in found
    assert bool(reason) == bool(found)


def test_an_impossible_model_from_scratch_names_its_architecture(tmp_path: Path) -> None:
    path = tmp_path / "parcels.yaml"
    scratch = "scratch: {architecture: encoder}"
    text = PIPELINE.replace("base: model", scratch).replace("topics", "translation")
    path.write_text(text + "language:\n  target: zh\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"model\.scratch.*a bert model has no seq2seq or causal"):
        load(path, checks=[families.check])


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


def test_bf16_is_refused_where_a_family_cannot_compute_in_it(tmp_path: Path) -> None:
    path = pipeline_on(tmp_path, '{"model_type": "deberta"}')
    assert load(path, checks=[families.check]).training.precision == "auto"
    folder = str(tmp_path / "model")
    assert families.usable_precision(folder, "auto") == "fp32"
    with pytest.raises(ConfigError, match=r"training\.precision: a deberta model cannot"):
        load(path, ["training.precision=bf16"], checks=[families.check])
    path.write_text(PIPELINE.replace("base: model", "base: starter"), encoding="utf-8")
    assert load(path, ["training.precision=bf16"], checks=[families.check]).training.epochs
    assert families.usable_precision(None, "bf16") == "bf16"


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
        "import sys; from pathlib import Path; from tests.support.reading import load; "
        "from tasks.training.model import families; "
        "load(Path(sys.argv[1]), checks=[families.check]); "
        "sys.exit(' '.join({'torch', 'transformers'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
