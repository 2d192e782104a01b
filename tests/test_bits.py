"""Masks held as bits: read and written like the array that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flashbench.bits import Bits

KEYS: list[Any] = [
    0, -1, slice(1, None), (2, 3), (slice(None), 4), (slice(None), np.array([0, 3, 3])), (1, slice(2, 5)), ..., [2, 0],
]  # fmt: skip


@pytest.fixture(params=[(3, 7, 6, 8), (3, 7, 5, 9)])
def masks(request: pytest.FixtureRequest, rng: np.random.Generator) -> np.ndarray:
    return rng.random(request.param) < 0.3


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_read_like_an_array(masks: np.ndarray, key: Any) -> None:
    got = Bits.of(masks)[key]
    assert got.dtype == np.bool_ and np.array_equal(got, masks[key])


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_written_like_an_array(masks: np.ndarray, key: Any) -> None:
    bits, plain = Bits(masks.shape), np.zeros_like(masks)
    bits[key], plain[key] = masks[key], masks[key]
    assert np.array_equal(bits, plain)


def test_entries_one_after_the_other(masks: np.ndarray) -> None:
    bits = Bits.of(masks)
    assert len(bits) == 3 and all(np.array_equal(a, b) for a, b in zip(bits, masks, strict=True))
    assert bits.shape == masks.shape and bits.dtype == masks.dtype == np.asarray(bits).dtype
    assert np.asarray(bits, np.float32).sum() == masks.sum()


def test_an_eighth_of_the_memory_and_back(masks: np.ndarray) -> None:
    packed = Bits.of(masks).packed
    assert packed.dtype == np.uint8 and packed.shape == (3 * 7 * -(-masks[0, 0].size // 8),)
    assert np.array_equal(Bits(masks.shape, packed), masks)
    with pytest.raises(ValueError, match="reshape"):
        Bits(masks.shape, packed[:-1])
