from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from configs.errors import ModelError
from configs.schema import Model
from tasks.training.model import initial_model
from tasks.training.model.initial_model import InitialModel
from tests.support.hub import mirror

CONFIG = {"model_type": "bert", "max_position_embeddings": 128}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that has all that a model needs, its content made up."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
    write_weights(path / "model.safetensors", 1)
    (path / "tokenizer.json").write_text("{}", encoding="utf-8")
    return path


def write_weights(path: Path, value: float) -> None:
    save_file({"weight": np.full(4, value, dtype=np.float32)}, path)


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
    write_weights(folder / "model.safetensors", 2)
    seen.add(resolve(folder).digest)
    vocabularies = ("tokenizer.json", "added_tokens.json", "spm.model", "source.spm")
    for name in (*vocabularies, "config.json", "generation_config.json"):
        content = (folder / name).read_bytes() if (folder / name).exists() else b"{}"
        (folder / name).write_bytes(content + b" ")
        changed = resolve(folder)
        assert (changed.tokenizer_digest != first.tokenizer_digest) == (name in vocabularies)
        seen.add(changed.digest)
        (folder / name).unlink()
        if name in {"tokenizer.json", "config.json"}:
            (folder / name).write_bytes(content)
    assert len(seen) == 8


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_is_named_with_how_to_fetch_the_file(folder: Path, name: str) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4665\nsize 90868376\n"
    (folder / name).write_text(pointer, encoding="utf-8")
    assert refused(folder) == (
        f"{folder / name}: expected the file itself, found a pointer of Git LFS to it "
        f"(run 'git lfs install' and 'git lfs pull' in {folder})"
    )


@pytest.mark.parametrize("kept", [0, 7, 40, -1])
def test_weights_that_are_cut_off_are_refused(folder: Path, kept: int) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    message = f"{path}: expected a safetensors file, found {path.stat().st_size} bytes that are"
    assert refused(folder).startswith(f"{message} damaged or incomplete")


def test_every_missing_shard_is_named(folder: Path) -> None:
    names = {f"layer.{n}": f"model-{n}-of-3.safetensors" for n in (1, 2, 3)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    assert resolve(folder).family == "bert"
    (folder / "model.safetensors").rename(folder / "model-2-of-3.safetensors")
    assert refused(folder) == "\n".join(
        f"{folder / names[f'layer.{n}']}: the file is missing (copy or download the whole folder)"
        for n in (1, 3)
    )


def test_a_broken_index_and_an_adapter_are_refused(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-1-of-1.safetensors")
    assert f"{folder / 'model.safetensors'}: the file is missing" in refused(folder)
    (folder / "model.safetensors.index.json").write_text("[]")
    assert "model.safetensors.index.json: not an index of weights" in refused(folder)
    (folder / "adapter_config.json").write_text("{}")
    assert f"{folder}: expected a whole model, found the adapter of one" in refused(folder)


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


FIND = """
import sys
from configs.errors import ModelError
from configs.schema import Model
from tasks.training.model import initial_model
try:
    print(initial_model.find(Model(base=sys.argv[1]), "topics").digest)
except ModelError as error:
    print(error)
"""


def test_the_advice_about_a_hub_that_is_not_reached_works(folder: Path, tmp_path: Path) -> None:
    """By a mirror, and by a folder that was downloaded elsewhere."""

    def python(*arguments: str, endpoint: str) -> str:
        names = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, env=os.environ | names, capture_output=True, text=True, check=True
        ).stdout

    failed = python("-c", FIND, "owner/tiny", endpoint="http://127.0.0.1:9")
    assert "set HF_ENDPOINT to a mirror, or run `hf download owner/tiny --local-dir" in failed
    assert "set model.base: FOLDER" in failed
    expected = initial_model.find(Model(base=str(folder)), "topics").digest
    with mirror("owner/tiny", folder) as address:
        assert python("-c", FIND, "owner/tiny", endpoint=address).strip() == expected
        hf, copy = str(Path(sys.executable).parent / "hf"), str(tmp_path / "copy")
        python(hf, "download", "owner/tiny", "--local-dir", copy, endpoint=address)
    assert python("-c", FIND, copy, endpoint="http://127.0.0.1:9").strip() == expected
