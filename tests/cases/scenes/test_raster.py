"""Integer drawing against slow implementations of the same rules, and its geometry against real numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flashbench.cases.scenes import raster
from flashbench.cases.scenes.raster import ONE, PAD, Patch, Placement, Texture, alpha, land, over, pack, sample, unpack

U8 = npt.NDArray[np.uint8]
byte = st.integers(0, 255)


def place(
    x: float, y: float, width: float, height: float | None = None, turn: float = 0.0, opacity: int = 256
) -> Placement:
    """One frame: centre and size in px, turn in whole turns."""
    numbers = (x * ONE, y * ONE, width * ONE, (width if height is None else height) * ONE, turn * ONE, opacity)
    return Placement(*(np.array([round(n)], np.int64) for n in numbers))


def drawn(patch: Patch, size: int) -> npt.NDArray[np.float64]:
    """Lanes of one frame on a transparent canvas: float `[size, size, 4]`, premultiplied."""
    canvas = np.zeros((1, size, size), np.uint64)
    over(canvas, land(patch, (size, size)))
    return np.stack([(canvas[0] >> np.uint64(s)) & np.uint64(255) for s in (0, 16, 32, 48)], axis=-1).astype(np.float64)


def centroid(weight: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    ys, xs = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()


def blob(n: int = 31, at: tuple[float, float] = (15, 15), sigma: float = 3.0) -> U8:
    """A soft white dot."""
    ys, xs = np.mgrid[:n, :n]
    a = 255 * np.exp(-((xs - at[0]) ** 2 + (ys - at[1]) ** 2) / (2 * sigma**2))
    return np.concatenate([np.full((n, n, 3), 255), np.rint(a)[..., None]], axis=-1).astype(np.uint8)


def test_pack_multiplies_by_alpha_and_unpack_gives_opaque_colours_back(rng: np.random.Generator) -> None:
    rgba = rng.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    lanes = pack(rgba)
    exact = (rgba[..., :3].astype(int) * rgba[..., 3:].astype(int) + 127) // 255
    assert np.array_equal(unpack(lanes), exact) and np.array_equal(alpha(lanes), rgba[..., 3])
    rgba[..., 3] = 255
    assert np.array_equal(unpack(pack(rgba)), rgba[..., :3])


@given(st.lists(st.tuples(byte, byte), min_size=4, max_size=4), byte)
def test_lanes_are_blended_without_touching_each_other(pairs: list[tuple[int, int]], f: int) -> None:
    a, b = (sum(p[i] << 16 * k for k, p in enumerate(pairs)) for i in (0, 1))
    mixed = int(raster._lerp(*(np.array([v], np.uint64) for v in (a, b, f)))[0])
    assert [mixed >> 16 * k & 0xFFFF for k in range(4)] == [(p * (256 - f) + q * f + 128) >> 8 for p, q in pairs]


@given(st.lists(byte, min_size=4, max_size=4), st.lists(byte, min_size=3, max_size=3))
def test_over_is_porter_and_duff_to_one_level(new: list[int], old: list[int]) -> None:
    canvas = pack(np.array([[[*old, 255]]], np.uint8))
    over(canvas, land(Patch(pack(np.array([[[new]]], np.uint8)), np.zeros(1, int), np.zeros(1, int)), (1, 1)))
    a = new[3] / 255
    expected = [a * n + (1 - a) * o for n, o in zip(new, old, strict=False)]
    assert np.abs(unpack(canvas)[0, 0] - np.array(expected)).max() <= 1.5
    if new[3] in (0, 255):
        assert unpack(canvas)[0, 0].tolist() == (new[:3] if new[3] else old)


@pytest.mark.parametrize("shape", [(5, 3), (7, 11), (3, 16), (12, 9)])
def test_resample_is_the_exact_area_mean(rng: np.random.Generator, shape: tuple[int, int]) -> None:
    h, w = shape
    source = rng.integers(0, 256, (9, 12, 2), dtype=np.uint8)

    def overlap(k: int, target: int, j: int, n: int) -> Fraction:
        lo, hi = max(Fraction(k, target), Fraction(j, n)), min(Fraction(k + 1, target), Fraction(j + 1, n))
        return max(hi - lo, Fraction(0)) * target

    slow = np.empty((h, w, 2), np.uint8)
    for y, x, c in np.ndindex(*slow.shape):
        rows = [(j, overlap(y, h, j, 9)) for j in range(9)]
        cols = [(j, overlap(x, w, j, 12)) for j in range(12)]
        mean = sum(p * q * int(source[j, k, c]) for j, p in rows for k, q in cols if p and q)
        slow[y, x, c] = int(mean + Fraction(1, 2))
    assert np.array_equal(raster.resample(source, h, w), slow)
    assert np.array_equal(raster.resample(source, 9, 12), source)
    assert (raster.resample(np.full((9, 12, 2), 77, np.uint8), h, w) == 77).all()


def test_box_blur_is_three_box_filters_with_repeated_edges(rng: np.random.Generator) -> None:
    source = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    slow = source.astype(int)
    for _ in range(3):
        for axis in (0, 1):
            n = slow.shape[axis]
            taps = [np.take(slow, np.clip(np.arange(n) + k, 0, n - 1), axis=axis) for k in range(-2, 3)]
            slow = (sum(taps) + 2) // 5
    assert np.array_equal(raster.box_blur(source, 2), slow)
    assert raster.box_blur(source, 0) is source


def test_a_texture_holds_the_picture_and_ever_smaller_ones_with_a_clear_rim(rng: np.random.Generator) -> None:
    rgba = rng.integers(0, 256, (40, 60, 4), dtype=np.uint8)
    texture = Texture.build(rgba)
    assert (texture.height[0], texture.width[0]) == (40, 60) and (np.diff(texture.width) < 0).all()
    ends = [*texture.offset[1:], len(texture.flat)]
    for k, end in enumerate(ends):
        level = texture.flat[texture.offset[k] : end].reshape(-1, texture.stride[k])
        assert level.shape == (texture.height[k] + 2 * PAD, texture.width[k] + 2 * PAD)
        inner = level[PAD:-PAD, PAD:-PAD].copy()
        if k == 0:
            assert np.array_equal(inner, pack(rgba))
        level[PAD:-PAD, PAD:-PAD] = 0
        assert not level.any()
    assert Texture.build(rgba, largest=30).width.max() <= 30


def test_a_sprite_in_its_own_size_on_the_grid_is_copied(rng: np.random.Generator) -> None:
    rgba = rng.integers(0, 256, (24, 24, 4), dtype=np.uint8)
    rgba[..., 3] = 255
    out = drawn(sample(Texture.build(rgba), place(16.5, 13.5, 24)), 40)
    assert np.array_equal(out[2:26, 5:29], rgba)
    out[2:26, 5:29] = 0
    assert not out.any()


def test_positions_are_finer_than_pixels() -> None:
    """A shift of 1/16 px moves the centroid by 1/16 px, and half a pixel is the mean of both neighbours."""
    texture = Texture.build(blob())
    shifts = np.arange(17) / 16
    pictures = [drawn(sample(texture, place(20 + s, 20, 31)), 41)[..., 3] for s in shifts]
    moved = np.array([centroid(p)[0] for p in pictures]) - centroid(pictures[0])[0]
    assert np.abs(moved - shifts).max() < 0.02
    assert np.array_equal(pictures[16][:, 1:], pictures[0][:, :-1])
    assert np.abs(pictures[8] - (pictures[0] + pictures[16]) / 2).max() <= 1
    steps = [np.abs(b - a).max() for a, b in zip(pictures, pictures[1:], strict=False)]
    assert max(steps) < 6  # of 255


@pytest.mark.parametrize("width", [62, 31, 20, 13, 8])
def test_size_is_finer_than_levels(width: float) -> None:
    """Area and centre follow the asked size, whichever level of the texture is read."""
    out = drawn(sample(Texture.build(blob(sigma=5.0)), place(40, 38, width)), 80)[..., 3]
    assert np.abs(centroid(out) - (40, 38)).max() < 0.05
    assert out.sum() == pytest.approx(blob(sigma=5.0)[..., 3].sum() * (width / 31) ** 2, rel=0.05)


@pytest.mark.parametrize("turn", [0.0, 0.07, 0.25, 0.6])
def test_a_turn_goes_from_x_to_y_and_stretch_comes_first(turn: float) -> None:
    """A mark on the sprite lies where the similarity says: stretched, then turned, then moved."""
    texture = Texture.build(blob(31, at=(23, 12), sigma=1.6))
    out = drawn(sample(texture, place(32.3, 30.8, 40, 28, turn)), 64)[..., 3]
    du, dv = (23 - 15) * 40 / 31, (12 - 15) * 28 / 31
    cos, sin = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    expected = np.array([32.3 + du * cos - dv * sin, 30.8 + du * sin + dv * cos])
    assert np.abs(centroid(out) - expected).max() < 0.12


def test_opacity_scales_colour_and_alpha_alike() -> None:
    texture = Texture.build(blob())
    whole, half = (drawn(sample(texture, place(20, 20, 31, opacity=o)), 41) for o in (256, 128))
    assert np.abs(half - whole / 2).max() <= 0.5
    assert not drawn(sample(texture, place(20, 20, 31, opacity=0)), 41).any()


def test_land_cuts_at_the_frame_and_drops_what_is_clear() -> None:
    lanes = pack(np.full((2, 3, 3, 4), 255, np.uint8))
    lanes[0, 1, 1] = 0
    landing = land(Patch(lanes, np.array([-1, 3]), np.array([-1, 0])), (4, 5))
    frame, rest = np.divmod(landing.where, 20)
    cells = {(int(f), *divmod(int(r), 5)) for f, r in zip(frame, rest, strict=True)}
    first = {(0, y, x) for y in (0, 1) for x in (0, 1)} - {(0, 0, 0)}
    assert cells == first | {(1, y, x) for y in range(3) for x in (3, 4)}
    elsewhere = land(Patch(lanes, np.array([-1, 3]), np.array([-1, 0])), (4, 5), np.array([6, 6]))
    assert set(elsewhere.where // 20) == {6}
