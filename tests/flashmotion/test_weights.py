"""Shipped weights: whole, named by their hashes, or one line that says which file is wrong."""

from __future__ import annotations

import json
import os
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel

from flashbench.errors import InputError
from flashbench.files.atomic import sha256_file
from flashmotion import weights
from flashmotion.networks.residual import ResidualGenerator


@pytest.fixture
def part(shelf: Path, generator: WanTransformer3DModel) -> Path:
    """An exported generator."""
    return weights.export(generator, "toy", "slow-generator", {"command": "make", "steps": 3}, torch.float32)


def test_export_and_load(part: Path, shelf: Path, generator: WanTransformer3DModel) -> None:
    assert part == weights.folder("toy", "slow-generator") == shelf / "toy" / "slow-generator"
    assert {p.name for p in part.iterdir()} == {"config.json", weights.FILE, "manifest.json"}
    again = weights.load(ResidualGenerator, "toy", "slow-generator")
    assert not again.training and again.config.num_layers == generator.config.num_layers
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in generator.state_dict().items())


def test_the_manifest_says_what_made_it(part: Path) -> None:
    manifest = json.loads((part / "manifest.json").read_text())
    assert manifest["command"] == "make" and manifest["steps"] == 3 and manifest["dtype"] == "float32"
    assert manifest["sha256"] == sha256_file(part / weights.FILE)
    assert manifest["config_sha256"] == sha256_file(part / "config.json")


def test_half_precision_halves_the_file_and_leaves_the_net_alone(
    part: Path, generator: WanTransformer3DModel, hash_of: Callable[..., str]
) -> None:
    before, size = hash_of(generator), (part / weights.FILE).stat().st_size
    weights.export(generator, "toy", "slow-generator", {})
    assert (part / weights.FILE).stat().st_size < 0.65 * size and hash_of(generator) == before
    again = weights.load(ResidualGenerator, "toy", "slow-generator")
    assert {p.dtype for p in again.parameters()} == {torch.float32}
    for k, v in generator.state_dict().items():
        torch.testing.assert_close(again.state_dict()[k], v, atol=1e-3, rtol=1e-2)


def test_a_full_disk_keeps_what_was_there(part: Path, make_generator: Callable[..., WanTransformer3DModel]) -> None:
    """RLIMIT_FSIZE stands in for it, in a process of its own: the kernel refuses to write on."""
    before = {p.name: p.read_bytes() for p in part.iterdir()}
    told = part.parent / "told"
    pid = os.fork()
    if pid == 0:
        torch.set_num_threads(1)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
        try:
            weights.export(make_generator(seed=3), "toy", "slow-generator", {}, torch.float32)
        except InputError as error:
            told.write_text(str(error))
        os._exit(0)
    os.waitpid(pid, 0)
    assert "cannot be written" in told.read_text() and "\n" not in told.read_text()
    assert {p.name: p.read_bytes() for p in part.iterdir()} == before


def refused(*words: str) -> None:
    with pytest.raises(InputError) as caught:
        weights.load(ResidualGenerator, "toy", "slow-generator")
    text = str(caught.value)
    assert "\n" not in text and all(w in text for w in words), text


def test_missing(shelf: Path) -> None:
    refused(str(shelf / "toy" / "slow-generator"), "missing", "flashmotion train")


@pytest.mark.parametrize("name", [weights.FILE, "config.json"])
def test_one_changed_byte(part: Path, name: str) -> None:
    data = bytearray((part / name).read_bytes())
    data[len(data) // 2] ^= 1
    (part / name).write_bytes(data)
    refused(str(part / name), "sha256 is not the manifest's", "restore")


def test_half_a_file(part: Path) -> None:
    data = (part / weights.FILE).read_bytes()
    (part / weights.FILE).write_bytes(data[: len(data) // 2])
    refused(str(part / weights.FILE), "sha256")


@pytest.mark.parametrize("name", ["config.json", "manifest.json"])
def test_a_file_of_the_folder_is_missing(part: Path, name: str) -> None:
    (part / name).unlink()
    refused(str(part / name), "missing")


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"sha256": 3, "config_sha256": "a"}'])
def test_a_damaged_manifest(part: Path, content: str) -> None:
    (part / "manifest.json").write_text(content)
    refused(str(part / "manifest.json"))


def test_shipped_weights_are_small_and_whole() -> None:
    """Below 60 MB in all; every part's hashes agree with its manifest."""
    files = [p for p in weights.ROOT.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 60e6
    manifests = [p for p in files if p.name == "manifest.json"]
    assert {p.parent.name for p in manifests} >= {"codec", "slow-generator", "slow-adapter"}
    for path in manifests:
        manifest = json.loads(path.read_text())
        assert manifest["command"].startswith("flashmotion train ") and manifest["validation"]
        assert manifest["sha256"] == sha256_file(path.parent / weights.FILE)
        assert manifest["config_sha256"] == sha256_file(path.parent / "config.json")


def test_another_folder_comes_first(
    part: Path,
    generator: WanTransformer3DModel,
    make_generator: Callable[..., WanTransformer3DModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """$FLASHMOTION_WEIGHTS takes exports and is looked into first; what it lacks is the package's."""
    elsewhere = tmp_path / "elsewhere"
    monkeypatch.setenv(weights.ELSEWHERE, str(elsewhere))
    assert weights.folder("toy", "slow-generator") == part
    other = make_generator(seed=9)
    made = weights.export(other, "toy", "slow-generator", {}, torch.float32)
    assert made == weights.folder("toy", "slow-generator") == elsewhere / "toy" / "slow-generator"
    again = weights.load(ResidualGenerator, "toy", "slow-generator")
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in other.state_dict().items())
    monkeypatch.delenv(weights.ELSEWHERE)
    assert weights.folder("toy", "slow-generator") == part
