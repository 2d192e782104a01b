"""text_conse: photographs find their names, and the protocol is the published one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flashbench.backbones.conse import TOP, ConSE, class_names
from flashbench.backbones.lite0 import Lite0
from flashbench.backbones.minilm import MiniLM


@pytest.fixture(scope="module")
def conse(lite0: Lite0, minilm: MiniLM) -> ConSE:
    return ConSE.load(lite0, minilm)


def photographs() -> dict[str, np.ndarray]:
    from skimage import data

    return {
        "a cat looks up": data.chelsea(),
        "a cup of coffee on a table": data.coffee(),
        "a rocket on its launch pad": data.rocket(),
    }


def test_names() -> None:
    names = class_names()
    assert len(names) == 1000 and names[0] == "tench" and names[281] == "tabby"


def test_photographs_agree_with_their_sentences_most(conse: ConSE, lite0: Lite0) -> None:
    held = photographs()
    maps = torch.cat([lite0.maps(torch.from_numpy(p.copy())[None]) for p in held.values()])
    likeness = (conse.images(maps) @ conse.texts(list(held)).T).numpy()
    assert likeness[0].argmax() == 0 and likeness[1].argmax() == 1
    assert likeness[0, 0] > 0.6 and likeness[1, 1] > 0.35


def test_it_is_the_convex_combination_of_the_likeliest_names(conse: ConSE, lite0: Lite0) -> None:
    maps = lite0.maps(torch.from_numpy(photographs()["a cat looks up"].copy())[None])
    p = torch.softmax(lite0.net.classifier(maps.mean((2, 3))), -1)[0].detach().double().numpy()
    best = np.argsort(-p)[:TOP]
    expected = (p[best, None] * conse.labels[best].double().numpy()).sum(0)
    np.testing.assert_allclose(conse.images(maps)[0].numpy(), expected / np.linalg.norm(expected), atol=1e-5)


def test_unit_vectors_whatever_the_batch(conse: ConSE) -> None:
    maps = torch.rand(5, 1280, 7, 7, generator=torch.Generator().manual_seed(0))
    whole = conse.images(maps)
    assert torch.allclose(whole.norm(dim=1), torch.ones(5), atol=1e-5)
    assert torch.allclose(whole, torch.cat([conse.images(m[None]) for m in maps]), atol=1e-5)


def test_fingerprint_names_both_towers() -> None:
    assert Lite0.fingerprint in ConSE.fingerprint() and MiniLM.fingerprint in ConSE.fingerprint()
