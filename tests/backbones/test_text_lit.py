"""The shipped head of text_lit: damage, shapes, and that it tells prompts apart on objects that it never saw."""

import json
import shutil

import numpy as np
import pytest
import torch

from flashbench.backbones import text_lit
from flashbench.backbones.text_lit import DIM, MANIFEST, Head, TextLiT
from flashbench.cases.scenes.sprites import scene_of
from flashbench.cases.scenes.world import render
from flashbench.errors import InputError


def test_the_manifest_says_what_was_measured():
    assert MANIFEST["command"].startswith("python scripts/train_text_lit.py")
    assert 0.5 < MANIFEST["test_split"]["object_vs_wrong_object"] <= 1


def test_vectors_have_length_one_and_do_not_depend_on_the_batch():
    head = Head().eval()
    maps = torch.randn(5, 1280, 7, 7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, alone = head.images(maps), head.images(maps[2:3])
    assert whole.shape == (5, DIM)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(5))
    torch.testing.assert_close(whole[2:3], alone)


def test_padding_of_a_prompt_does_not_count():
    head = Head().eval()
    states = torch.randn(1, 6, 384, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([states, torch.ones(1, 4, 384)], dim=1)
    mask = torch.arange(10)[None] < 6
    with torch.no_grad():
        torch.testing.assert_close(head.texts(padded, mask), head.texts(states, mask[:, :6]))


def test_a_damaged_head_is_named(tmp_path, monkeypatch):
    shutil.copytree(str(text_lit.DATA), tmp_path / "data")
    file = tmp_path / "data" / MANIFEST["file"]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))
    monkeypatch.setattr(text_lit, "DATA", tmp_path / "data")
    with pytest.raises(InputError, match=r"text_lit\.safetensors.*sha256"):
        TextLiT.load(minilm=object())  # type: ignore[arg-type]


def test_new_scenes_of_known_objects_prefer_their_own_prompt(lite0, minilm):
    """24 scenes of one and two objects of the train split: the true prompt against the others', chance 1/2.

    Objects of the test split are not yet told apart much better than by chance: the manifest says how well.
    """
    scenes = [scene_of(f"{1 + i % 2}-{900 + i:04d}", 121, 5, "train") for i in range(24)]
    frames = np.stack([render(s, 64, [0, 60]).video[1] for s in scenes])
    net = TextLiT.load(minilm=minilm)
    likeness = net.images(lite0.maps(torch.from_numpy(frames))) @ net.texts([s.prompt for s in scenes]).T
    better = (likeness.diagonal()[:, None] > likeness).float().sum() / (24 * 23)
    print(json.dumps({"pairwise": float(better)}))
    assert better > 0.6
