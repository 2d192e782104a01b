"""Agreement with the prompt, and retrieval that a collapsed embedding cannot win."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flashbench.metrics.text import cosine_agreement, retrieval_accuracy


def test_agreement_by_hand() -> None:
    """Angles 0, 90 and 180 degrees: 1, 0, -1; neither clipped nor scaled."""
    frames = np.array([[2.0, 0.0], [0.0, 5.0], [-1.0, 0.0]])
    assert cosine_agreement(frames[:1], [3.0, 0.0]) == pytest.approx(1.0)
    assert cosine_agreement(frames, [3.0, 0.0]) == pytest.approx(0.0)
    assert cosine_agreement(frames[2:], [3.0, 0.0]) == pytest.approx(-1.0)


def test_agreement_is_the_mean_of_cosines_not_the_cosine_of_the_mean() -> None:
    frames = np.array([[10.0, 0.0], [0.0, 1.0]])
    text = np.array([1.0, 1.0])
    of_mean = frames.mean(0) @ text / np.linalg.norm(frames.mean(0)) / np.linalg.norm(text)
    assert cosine_agreement(frames, text) == pytest.approx(np.sqrt(0.5))
    assert abs(cosine_agreement(frames, text) - of_mean) > 0.05
    clipped = max(cosine_agreement(-frames, text), 0.0)  # torchmetrics clips the mean at 0
    assert cosine_agreement(-frames, text) == pytest.approx(-np.sqrt(0.5)) and clipped == 0.0


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(1, 6), st.integers(0, 2**31))
def test_agreement_ignores_lengths_and_order(frames: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    d, text = rng.normal(size=(frames, width)), rng.normal(size=width)
    value = cosine_agreement(d, text)
    assert -1 - 1e-12 <= value <= 1 + 1e-12
    other = cosine_agreement(rng.permutation(d * rng.uniform(0.1, 9, (frames, 1))), 7 * text)
    assert other == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_retrieval_by_hand() -> None:
    """Video 0 finds its text; video 1 is nearer to text 0 and finds its own second; video 2 finds its own."""
    texts = np.eye(3)
    videos = np.array([[1.0, 0.1, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 2.0]])
    assert retrieval_accuracy(videos, texts) == pytest.approx(2 / 3)
    assert retrieval_accuracy(videos, texts, k=2) == 1.0


def test_retrieval_identity_and_order() -> None:
    x = np.random.default_rng(0).normal(size=(20, 8))
    assert retrieval_accuracy(3 * x, x) == 1.0
    noisy = x + np.random.default_rng(1).normal(size=x.shape)
    order = np.random.default_rng(2).permutation(20)
    assert 0.2 < retrieval_accuracy(noisy, x) < 1.0
    assert retrieval_accuracy(noisy[order], x[order]) == retrieval_accuracy(noisy, x)


def test_retrieval_of_noise_is_chance() -> None:
    rng = np.random.default_rng(3)
    values = [retrieval_accuracy(rng.normal(size=(20, 8)), rng.normal(size=(20, 8)), k=4) for _ in range(60)]
    assert np.mean(values) == pytest.approx(4 / 20, abs=0.04)


def test_a_collapsed_embedding_scores_nothing() -> None:
    """The mistake: counting only texts that are strictly nearer gives full marks to an embedding of one point."""
    x = np.tile(np.random.default_rng(4).normal(size=(1, 8)), (10, 1))
    likeness = x @ x.T
    mistaken = np.mean((likeness > likeness.diagonal()[:, None]).sum(axis=1) < 1)
    assert mistaken > 0.5 and retrieval_accuracy(x, x) == 0.0
    assert retrieval_accuracy(np.zeros((5, 8)), np.ones((5, 8))) == 0.0


def test_refusals() -> None:
    with pytest.raises(ValueError, match="text"):
        cosine_agreement(np.ones((3, 4)), np.ones(5))
    with pytest.raises(ValueError, match="NaN"):
        cosine_agreement(np.ones((3, 4)), np.full(4, np.nan))
    with pytest.raises(ValueError, match="at least 1"):
        cosine_agreement(np.ones((0, 4)), np.ones(4))
    with pytest.raises(ValueError, match="3 videos, 2 texts"):
        retrieval_accuracy(np.ones((3, 4)), np.ones((2, 4)))
    with pytest.raises(ValueError, match="k is 4"):
        retrieval_accuracy(np.ones((3, 4)), np.ones((3, 4)), k=4)
