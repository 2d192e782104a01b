"""The discriminator: undecided at first, then a judge of video, trajectory, text and time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from flashmotion.networks.discriminator import Discriminator

B, TAPS, FEATURE, TEXT, CONTROL, FIRST = 3, 2, 24, 384, 12, 16


def inputs(seed: int = 0) -> dict[str, Tensor | list[Tensor] | int]:
    rng = torch.Generator().manual_seed(seed)
    return {
        "tapped": [torch.randn(B, 5 * FIRST, FEATURE, generator=rng) for _ in range(TAPS)],
        "text": torch.randn(B, 6, TEXT, generator=rng),
        "control": torch.randn(B, CONTROL, 5, 4, 4, generator=rng),
        "t": torch.rand(B, generator=rng),
        "first": FIRST,
    }


@pytest.fixture
def judge() -> Discriminator:
    """One that has an opinion."""
    torch.manual_seed(1)
    made = Discriminator(TAPS, FEATURE, TEXT, CONTROL, dim=32, heads=4)
    nn.init.normal_(made.out[-1].weight)
    return made


def test_a_new_one_is_undecided() -> None:
    logits = Discriminator(TAPS, FEATURE, TEXT, CONTROL)(**inputs())
    assert logits.shape == (B,) and torch.equal(logits, torch.zeros(B))


def _change_tap(tap: int, first: bool) -> Callable[[dict], None]:  # type: ignore[type-arg]
    def change(given: dict) -> None:  # type: ignore[type-arg]
        part = given["tapped"][tap][:, :FIRST] if first else given["tapped"][tap][:, FIRST:]
        part.mul_(-1)

    return change


CHANGES: dict[str, Callable[[dict], None]] = {  # type: ignore[type-arg]
    "video tokens of the first tap (VC)": _change_tap(0, False),
    "video tokens of the last tap (VC)": _change_tap(1, False),
    "first-frame tokens (SS)": _change_tap(0, True),
    "text (SS)": lambda g: g["text"].mul_(-1),
    "trajectory (TC)": lambda g: g["control"].mul_(-1),
    "place of the trajectory (TC)": lambda g: g.update(control=g["control"].flip(4)),
    "time": lambda g: g["t"].mul_(0.1),
}


@pytest.mark.parametrize("what", CHANGES)
@torch.no_grad()
def test_the_logit_depends_on(judge: Discriminator, what: str) -> None:
    given = inputs()
    before = judge(**given)
    CHANGES[what](given)
    assert (judge(**given) - before).abs().min() > 1e-5


@torch.no_grad()
def test_samples_are_judged_alone(judge: Discriminator) -> None:
    given = inputs()
    whole = judge(**given)
    one = {k: v[1:2] if isinstance(v, Tensor) else v for k, v in given.items()}
    one["tapped"] = [x[1:2] for x in given["tapped"]]  # type: ignore[union-attr]
    torch.testing.assert_close(judge(**one), whole[1:2])


def test_gradient_reaches_the_features_and_every_head(judge: Discriminator) -> None:
    given = inputs()
    for x in given["tapped"]:  # type: ignore[union-attr]
        x.requires_grad_(True)
    judge(**given).sum().backward()
    assert all(x.grad.abs().sum() > 0 for x in given["tapped"])  # type: ignore[union-attr]
    without = [n for n, p in judge.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert without == []


def test_it_learns_to_tell_two_kinds_of_features_apart() -> None:
    torch.manual_seed(0)
    made = Discriminator(TAPS, FEATURE, TEXT, CONTROL, dim=32, heads=2)
    optimizer = torch.optim.AdamW(made.parameters(), lr=3e-3)
    real, fake = inputs(0), inputs(0)
    for x in fake["tapped"]:  # type: ignore[union-attr]
        x.add_(1.5)
    for _ in range(25):
        loss = nn.functional.softplus(-made(**real)).mean() + nn.functional.softplus(made(**fake)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.3
