from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from configs.errors import ModelError
from configs.schema import Model
from tasks.training.model import initial_model
from tasks.training.model.initial_model import InitialModel

CONFIG = {"model_type": "bert", "max_position_embeddings": 128}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has all that a model needs, its content made up."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    (path / "model.safetensors").write_bytes(b"weights")
    (path / "tokenizer.json").write_text("{}", encoding="utf-8")
    return path


def resolve(folder: Path, base: str = "model", application: str = "topics") -> InitialModel:
    return initial_model.find(Model(base=base).below(folder.parent), application)


def refused(folder: Path, base: str = "model") -> str:
    with pytest.raises(ModelError) as caught:
        resolve(folder, base)
    return str(caught.value)


def test_the_starter_is_a_bert_with_weights_and_tokenizer(starter: InitialModel) -> None:
    assert (starter.name, starter.family) == ("starter", "bert")
    assert (starter.path / "model.safetensors").is_file()
    assert starter.path.is_absolute()


def test_a_local_folder_is_relative_to_the_pipeline_file(folder: Path) -> None:
    found = resolve(folder)
    assert (found.name, found.path, found.config) == ("model", folder, CONFIG)


def test_an_absolute_folder_stays(folder: Path) -> None:
    assert resolve(folder / "deeper" / "still", str(folder)).path == folder


def test_the_digest_covers_weights_config_and_tokenizer(folder: Path) -> None:
    first = resolve(folder)
    assert resolve(folder) == first
    seen = {first.digest}
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b" ")
        changed = resolve(folder)
        assert (changed.tokenizer_digest != first.tokenizer_digest) == (name == "tokenizer.json")
        seen.add(changed.digest)
        (folder / name).write_bytes(content)
    assert len(seen) == 4


def test_other_files_do_not_change_the_digest(folder: Path) -> None:
    first = resolve(folder)
    (folder / "README.md").write_text("read me", encoding="utf-8")
    assert resolve(folder).digest == first.digest


def test_a_folder_without_weights_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert refused(folder) == (
        f"{folder}: found no weights (expected model.safetensors in the folder)"
    )


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "last.ckpt", "model.pkl"])
def test_pickled_weights_are_refused(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    message = refused(folder)
    assert f"only pickle weights ({name}), which can run code when loaded" in message
    assert "save_pretrained writes safetensors" in message


def test_pickled_weights_beside_safe_ones_do_not_count(folder: Path) -> None:
    first = resolve(folder)
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    assert resolve(folder).digest == first.digest


def test_a_folder_without_a_config_is_refused(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert refused(folder).startswith(
        f"model.base: expected a model folder, found no config.json in {folder}"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        (b"\xff", "not valid JSON"),
        ("{}", "names no model_type for model"),
        ("[]", "names no model_type for model"),
        ('{"model_type": null}', "names no model_type for model"),
    ],
)
def test_a_broken_config_is_refused(folder: Path, content: str | bytes, message: str) -> None:
    data = content if isinstance(content, bytes) else content.encode()
    (folder / "config.json").write_bytes(data)
    assert refused(folder) == f"{folder / 'config.json'}: {message}"


def test_a_folder_without_a_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert refused(folder) == f"{folder}: no tokenizer (expected tokenizer.json in the folder)"


@pytest.mark.parametrize("base", ["nowhere/deep/model", "no such model"])
def test_a_name_that_no_hub_could_have_is_a_missing_folder(folder: Path, base: str) -> None:
    assert refused(folder, base) == f"model.base: no such folder: {folder.parent / base}"


@pytest.mark.parametrize("base", ["modle", "./modle", "someone/modle"])
def test_what_neither_folder_nor_hub_has_is_refused(folder: Path, base: str) -> None:
    message = refused(folder, base)
    assert message.startswith(
        f"model.base: no folder {folder.parent / base}, and the download from the Hub failed"
    )
    assert "check the name and the connection" in message


def test_a_family_that_cannot_do_it_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "vit"}', encoding="utf-8")
    assert refused(folder).startswith("model.base: a vit model has no sequence-classification head")


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"max_position_embeddings": 128}, 128),
        ({"n_positions": 1024}, 1024),
        ({}, None),
        ({"model_type": "t5", "n_positions": 512}, None),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512}, None),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 129, "pad_token_id": 0}, 128),
        ({"model_type": "camembert", "max_position_embeddings": 130}, 128),
    ],
)
def test_positions_are_the_longest_input(
    starter: InitialModel, config: dict[str, object], positions: int | None
) -> None:
    assert replace(starter, config=config).positions == positions


def test_a_pair_is_both_of_its_halves(folder: Path) -> None:
    one = resolve(folder, application="topics")
    model = Model.model_validate({"base": "model", "decoder": {"base": "starter"}})
    pair = initial_model.find(model.below(folder.parent), "translation")
    assert pair.name == "model+starter"
    assert pair.decoder is not None
    assert (pair.path, pair.decoder.name) == (one.path, "starter")
    assert pair.digest not in {one.digest, pair.decoder.digest}


def test_a_pair_that_cannot_be_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "modernbert"}', encoding="utf-8")
    model = Model.model_validate({"decoder": {"base": "model"}})
    with pytest.raises(ModelError, match="a modernbert model cannot be the decoder of a pair"):
        initial_model.find(model.below(folder.parent), "translation")


def test_a_missing_right_half_names_its_field(folder: Path) -> None:
    model = Model.model_validate({"decoder": {"base": "nowhere/deep/model"}})
    with pytest.raises(ModelError, match=r"^model\.decoder\.base: no such folder: "):
        initial_model.find(model.below(folder.parent), "translation")


def test_a_model_from_scratch_is_what_it_is_declared_to_be() -> None:
    def declared(**fields: object) -> InitialModel:
        scratch = {"architecture": "encoder", **fields}
        return initial_model.find(Model.model_validate({"scratch": scratch}), "topics")

    first = declared()
    assert (first.name, first.path, first.family) == ("scratch", None, "bert")
    assert declared() == first
    assert declared(num_layers=2).digest != first.digest


def test_a_model_from_scratch_that_cannot_do_it_is_refused() -> None:
    model = Model.model_validate({"scratch": {"architecture": "encoder"}})
    with pytest.raises(ModelError, match=r"^model\.scratch\.architecture: a bert model has no"):
        initial_model.find(model, "translation")
