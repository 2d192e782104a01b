"""Weights that the user brings: found, hashed, refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from flashbench.errors import InputError
from flashbench.field import weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "model"
    path.mkdir()
    save_file({"a": torch.zeros(2)}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps({"model_type": "vit", "hidden_size": 8}))
    return path


def test_a_path_is_taken_as_it_is(folder: Path) -> None:
    assert weights.from_hub("dino", str(folder), "owner/other") == folder


def test_a_hub_id_with_its_revision(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    asked = []

    def download(repository: str, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append((repository, revision, allow_patterns))
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert weights.from_hub("dino", None, "owner/name@abc") == folder == weights.from_hub("dino", "me/mine", "o/n")
    assert [a[:2] for a in asked] == [("owner/name", "abc"), ("me/mine", None)]
    assert not any(p.endswith((".bin", ".pt", ".pth")) for p in asked[0][2])


@pytest.mark.parametrize(
    ("given", "default", "says"),
    [
        (None, "", "are not given; bring the weights here and say --weights dino=PATH"),
        ("/not/there", "o/n", "is neither a path that exists nor a hub id"),
        ("name", "o/n", "is neither a path that exists nor a hub id"),
        (None, "owner/name", "owner/name cannot be had from the model hub \\(ConnectionError\\)"),
    ],
)
def test_nothing_there(monkeypatch: pytest.MonkeyPatch, given: str | None, default: str, says: str) -> None:
    def unreachable(*args: object, **more: object) -> str:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(InputError, match=says):
        weights.from_hub("dino", given, default)


def test_identity_is_of_weights_and_configuration(folder: Path) -> None:
    first = weights.identity(folder)
    assert len(first) == 64
    (folder / "config.json").write_text(json.dumps({"model_type": "vit", "hidden_size": 16}))
    weights.identity.cache_clear()
    second = weights.identity(folder)
    save_file({"a": torch.ones(2)}, folder / "model.safetensors")
    weights.identity.cache_clear()
    assert len({first, second, weights.identity(folder)}) == 3


def test_a_folder_of_pickles_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds no \*.safetensors"):
        weights.identity(tmp_path)


def test_a_file_that_is_not_the_published_one(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"other")
    with pytest.raises(InputError, match="sha256 is d9298a10d1b0.*published for inception is f58cb9b6ec32"):
        weights.check_sha256("inception", path, "f58cb9b6ec32" + "0" * 52)


def test_one_file_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds 0 files that fit"):
        weights.one_file("raft", tmp_path, "raft_*.pth")
    (tmp_path / "raft_a.pth").write_bytes(b"")
    assert weights.one_file("raft", tmp_path, "raft_*.pth") == tmp_path / "raft_a.pth"
    (tmp_path / "raft_b.pth").write_bytes(b"")
    with pytest.raises(InputError, match="name the file itself"):
        weights.one_file("raft", tmp_path, "raft_*.pth")


def test_not_torchscript(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read as TorchScript"):
        weights.scripted("inception", path)


def test_another_model(folder: Path) -> None:
    from transformers import CLIPModel

    (folder / "config.json").write_text("{broken")
    with pytest.raises(InputError, match="cannot be read as CLIPModel"):
        weights.pretrained(CLIPModel, "clip_vit_b32", folder)
