"""EfficientNet-Lite0 names what is in photographs, and pools regions."""

from __future__ import annotations

import pytest
import torch
from skimage import data

from flashbench.backbones.lite0 import Lite0
from flashbench.errors import InputError

EGYPTIAN_CAT, ESPRESSO = 285, 967  # ImageNet-1k


def photograph(name: str) -> torch.Tensor:
    """A photograph of scikit-image, uint8 `[H, W, 3]`."""
    return torch.tensor(getattr(data, name)())


@pytest.mark.parametrize(
    ("picture", "label", "probability"), [("chelsea", EGYPTIAN_CAT, 0.788), ("coffee", ESPRESSO, 0.878)]
)
def test_names_photographs(lite0: Lite0, picture: str, label: int, probability: float) -> None:
    frame = photograph(picture)[None]
    likely = lite0.logits(frame).softmax(-1)[0]
    assert int(likely.argmax()) == label
    assert float(likely[label]) == pytest.approx(probability, abs=0.005)


def test_a_full_mask_pools_the_frame_and_an_empty_one_is_zero(lite0: Lite0) -> None:
    frames = photograph("chelsea")[None].repeat(2, 1, 1, 1)
    masks = torch.ones(frames.shape[:3], dtype=torch.bool)
    masks[1] = False
    features = lite0.pooled(frames, masks)
    torch.testing.assert_close(features[0], lite0.pooled(frames[:1])[0], atol=1e-5, rtol=1e-4)
    assert features.shape == (2, 1280) and not features[1].any()


def test_a_mask_pools_its_region(lite0: Lite0) -> None:
    """Two pictures side by side: the left half's features are nearer to the left picture's."""
    cat, cup = (photograph(n)[:300, :300] for n in ("chelsea", "coffee"))
    both = torch.cat([cat, cup], 1)[None]  # (1, 300, 600, 3)
    left = torch.zeros(1, 300, 600, dtype=torch.bool)
    left[:, :, :300] = True
    alone = lite0.pooled(torch.stack([cat, cup]))
    near = torch.nn.functional.cosine_similarity(lite0.pooled(both, left), alone)
    far = torch.nn.functional.cosine_similarity(lite0.pooled(both, ~left), alone)
    assert near[0] > near[1] and far[1] > far[0]


def test_frames_do_not_depend_on_their_batch(lite0: Lite0) -> None:
    frames = torch.randint(0, 256, (7, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    together = lite0.pooled(frames)
    torch.testing.assert_close(together[5:6], lite0.pooled(frames[5:6]), atol=1e-5, rtol=1e-4)


def test_refuses_wrong_masks_and_frames(lite0: Lite0) -> None:
    frames = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    with pytest.raises(InputError, match="masks"):
        lite0.pooled(frames, torch.ones(1, 16, 32, dtype=torch.bool))
    with pytest.raises(InputError, match="uint8"):
        lite0.pooled(frames.float())
