"""The shipped head of text_lit: damage, shapes, and that it tells prompts apart on objects that it never saw."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from flashbench.backbones import text_lit
from flashbench.backbones.lite0 import Lite0
from flashbench.backbones.minilm import DIM, MiniLM
from flashbench.backbones.text_lit import MANIFEST, Head, TextLiT
from flashbench.cases.scenes.sprites import scene_of
from flashbench.cases.scenes.world import render
from flashbench.errors import InputError


def test_the_manifest_says_what_was_measured() -> None:
    assert MANIFEST["command"].startswith("python scripts/train_text_lit.py")
    assert MANIFEST["towers"] == {"lite0": Lite0.fingerprint, "minilm": MiniLM.fingerprint}
    for split in ("train_split", "test_split"):
        assert 0.5 < MANIFEST[split]["object_vs_wrong_object"] <= 1


def test_vectors_have_length_one_and_do_not_depend_on_the_batch() -> None:
    head = Head().eval()
    maps = torch.randn(5, 1280, 7, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, alone = head.images(maps), head.images(maps[2:3])
    assert whole.shape == (5, DIM)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(whole[2:3], alone)


def test_a_damaged_head_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(str(text_lit.DATA), tmp_path / "data")
    file = tmp_path / "data" / MANIFEST["file"]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    monkeypatch.setattr(text_lit, "DATA", tmp_path / "data")
    with pytest.raises(InputError, match=r"text_lit\.safetensors.*sha256"):
        TextLiT.load(minilm=object())  # type: ignore[arg-type]
    file.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        TextLiT.load(minilm=object())  # type: ignore[arg-type]


def test_held_out_scenes_prefer_their_own_prompt(lite0: Lite0, minilm: MiniLM) -> None:
    """36 scenes of the test split, whose objects and photographs the head never saw; two frames each."""
    scenes = [scene_of(f"{1 + i % 6}-{900 + i:04d}", 121, 5, "test") for i in range(36)]
    frames = np.stack([render(s, 64, [30, 90]).video for s in scenes])
    net = TextLiT.load(minilm=minilm)
    images = net.images(lite0.maps(torch.from_numpy(frames).flatten(0, 1))).reshape(len(scenes), 2, DIM).mean(1)
    likeness = images @ net.texts([s.prompt for s in scenes]).T
    nearer = (likeness > likeness.diagonal()[:, None]).float().sum(1)
    assert float(nearer.mean()) / (len(scenes) - 1) < 0.2  # chance 0.5
    assert float((nearer < 5).float().mean()) > 0.4  # recall at 5 of 36, chance 0.14
