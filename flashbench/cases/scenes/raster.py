"""Drawing in integer arithmetic, so that the same scene gives the same pixels on every CPU.

A pixel is one uint64 with four 16-bit lanes (red, green, blue, alpha), each holding 0..255, colours multiplied by
alpha. A weighted sum whose weights add to 256 then works on all four lanes at once without overflow. Positions
and sizes are 16.16 fixed point (`ONE` = 65536); angles are 1/65536 turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

ONE = 1 << 16
LANES = np.uint64(0x00FF00FF00FF00FF)
HALF = np.uint64(0x0080008000800080)
EIGHT = np.uint64(8)
PAD = 2  # transparent texels round a texture: a clamped index then reads nothing
LADDER = (256, 192, 144, 108, 81, 61, 46, 34, 26, 19, 14, 10, 7, 5)

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


def pack(rgba: npt.NDArray[np.uint8]) -> U64:
    """uint8 `[..., 4]` RGBA, colours not multiplied -> uint64 `[...]` premultiplied lanes."""
    v = rgba.astype(np.uint64)
    a = v[..., 3]
    r, g, b = ((v[..., i] * a + np.uint64(127)) // np.uint64(255) for i in range(3))
    return np.asarray(r | g << np.uint64(16) | b << np.uint64(32) | a << np.uint64(48), np.uint64)


def unpack(lanes: U64) -> npt.NDArray[np.uint8]:
    """uint64 `[...]` -> uint8 `[..., 3]` RGB of an opaque picture."""
    return np.stack([(lanes >> np.uint64(s)).astype(np.uint8) for s in (0, 16, 32)], axis=-1)


def alpha(lanes: U64) -> U64:
    """Coverage of packed pixels, uint64 of any shape (see `pack`): the same shape, 0 (empty) to 255 (solid)."""
    return lanes >> np.uint64(48)


def _area_weights(source: int, target: int) -> npt.NDArray[np.float64]:
    """Overlap of source cell j with target cell k, whole numbers `[target, source]`; each row sums to `source`."""
    lo = np.maximum.outer(np.arange(target) * source, np.arange(source) * target)
    hi = np.minimum.outer((np.arange(target) + 1) * source, (np.arange(source) + 1) * target)
    return np.asarray(np.maximum(hi - lo, 0), np.float64)


def resample(channels: npt.NDArray[np.uint8], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Area resampling of uint8 `[H, W, C]` (premultiplied colours expected).

    The products run in float64, whose sums of whole numbers below 2^53 are exact in any order: no BLAS can differ.
    """
    h, w, c = channels.shape
    rows = _area_weights(h, height) @ channels.reshape(h, w * c).astype(np.float64)
    both = np.einsum("kw,hwc->hkc", _area_weights(w, width), rows.reshape(height, w, c), optimize=True)
    return np.asarray((both.astype(np.int64) + h * w // 2) // (h * w), np.uint8)


def box_blur(channels: npt.NDArray[np.uint8], radius: int, passes: int = 3) -> npt.NDArray[np.uint8]:
    """Repeated integer box blur of uint8 `[H, W, C]`, edges repeated: close to a Gaussian, exact everywhere."""
    if radius <= 0:
        return channels
    n = 2 * radius + 1
    v = channels.astype(np.int64)
    for _ in range(passes):
        for axis in (0, 1):
            edge = [(0, 0)] * 3
            edge[axis] = (radius + 1, radius)
            c = np.cumsum(np.pad(v, edge, mode="edge"), axis=axis)
            hi = np.take(c, np.arange(n, c.shape[axis]), axis=axis)
            lo = np.take(c, np.arange(0, c.shape[axis] - n), axis=axis)
            v = (hi - lo + n // 2) // n
    return v.astype(np.uint8)


@dataclass(frozen=True)
class Texture:
    """A picture at falling sizes, flat. Level k has its texels at `offset[k]`, rows of `stride[k]`, padded by PAD."""

    flat: U64
    offset: I64
    stride: I64
    height: I64  # without padding
    width: I64

    @staticmethod
    def build(rgba: npt.NDArray[np.uint8], largest: int | None = None) -> Texture:
        """Texture of uint8 `[H, W, 4]` (colours not multiplied); `largest` drops levels wider than that."""
        lanes = pack(rgba)
        pre = np.stack([(lanes >> np.uint64(s)).astype(np.uint8) for s in (0, 16, 32, 48)], axis=-1)
        h, w = pre.shape[:2]
        side = max(h, w)
        sizes = [s for s in LADDER if s < side] or [side]
        if largest is None or side <= largest:
            sizes = [side, *[s for s in sizes if s < side]]
        if largest is not None:
            sizes = [s for s in sizes if s <= largest] or sizes[-1:]
        flats, heights, widths = [], [], []
        for s in sizes:
            lh, lw = max(1, round(h * s / side)), max(1, round(w * s / side))
            v = (pre if (lh, lw) == (h, w) else resample(pre, lh, lw)).astype(np.uint64)
            v = np.pad(v, ((PAD, PAD), (PAD, PAD), (0, 0)))
            flats.append(
                (
                    v[..., 0] | v[..., 1] << np.uint64(16) | v[..., 2] << np.uint64(32) | v[..., 3] << np.uint64(48)
                ).ravel()
            )
            heights.append(lh)
            widths.append(lw)
        starts = np.cumsum([0] + [len(f) for f in flats[:-1]])
        hs, ws = np.array(heights, np.int64), np.array(widths, np.int64)
        return Texture(np.concatenate(flats), starts.astype(np.int64), ws + 2 * PAD, hs, ws)


class Placement(NamedTuple):
    """Where a texture lies on F frames: centre (px) and size on the frame (px), 16.16; angle; opacity 0..256."""

    x: I64
    y: I64
    width: I64
    height: I64
    angle: I64
    opacity: I64


class Patch(NamedTuple):
    """A drawn window: lanes `[F, h, w]` and its top left corner on each frame `[F]` px."""

    lanes: U64
    left: I64
    top: I64


def _lerp(a: U64, b: U64, f: U64) -> U64:
    return np.asarray(((a * (np.uint64(256) - f) + b * f + HALF) >> EIGHT) & LANES, np.uint64)


def sample(texture: Texture, place: Placement, window: tuple[int, int] | None = None) -> Patch:
    """Draws a texture, bilinearly and with prefiltered levels.

    The window is just large enough for all frames, or with `window` = (H, W) the frame itself.
    """
    turn = place.angle.astype(np.float64) * (2 * np.pi / ONE)
    cos, sin = np.rint(np.cos(turn) * ONE).astype(np.int64), np.rint(np.sin(turn) * ONE).astype(np.int64)
    half_w = int((np.abs(cos) * place.width + np.abs(sin) * place.height).max() // (2 * ONE * ONE)) + 2
    half_h = int((np.abs(sin) * place.width + np.abs(cos) * place.height).max() // (2 * ONE * ONE)) + 2
    side = np.maximum(place.width, place.height)
    longest = np.maximum(texture.width, texture.height)
    level = np.maximum((longest[None, :] * ONE >= side[:, None]).sum(1) - 1, 0)
    tw, th = texture.width[level], texture.height[level]
    left, top = (place.x >> 16) - half_w, (place.y >> 16) - half_h
    height, width = 2 * half_h + 2, 2 * half_w + 2
    if window is not None:
        left, top, (height, width) = np.zeros_like(left), np.zeros_like(top), window
    dx = ((left[:, None] + np.arange(width)) << 16) - place.x[:, None]
    dy = ((top[:, None] + np.arange(height)) << 16) - place.y[:, None]
    # Texels a pixel, 16.16; then the inverse rotation. Texture centre lies between texels, hence the half.
    ku, kv = (tw << 32) // np.maximum(place.width, 1), (th << 32) // np.maximum(place.height, 1)
    au, bu = (cos * ku) >> 16, (sin * ku) >> 16
    av, bv = (-sin * kv) >> 16, (cos * kv) >> 16
    u0, v0 = ((tw - 1) << 15) + (PAD << 16), ((th - 1) << 15) + (PAD << 16)
    u = (((au[:, None] * dx)[:, None, :] + (bu[:, None] * dy)[:, :, None]) >> 16) + u0[:, None, None]
    v = (((av[:, None] * dx)[:, None, :] + (bv[:, None] * dy)[:, :, None]) >> 16) + v0[:, None, None]
    u, v = u + 128, v + 128
    iu = np.clip(u >> 16, 0, (tw + 2 * PAD - 2)[:, None, None])
    iv = np.clip(v >> 16, 0, (th + 2 * PAD - 2)[:, None, None])
    fu, fv = ((u >> 8) & 255).astype(np.uint64), ((v >> 8) & 255).astype(np.uint64)
    stride = texture.stride[level][:, None, None]
    at = texture.offset[level][:, None, None] + iv * stride + iu
    flat = texture.flat
    row0 = _lerp(flat[at], flat[at + 1], fu)
    at += stride
    lanes = _lerp(row0, _lerp(flat[at], flat[at + 1], fu), fv)
    if (place.opacity != 256).any():
        lanes = ((lanes * place.opacity.astype(np.uint64)[:, None, None] + HALF) >> EIGHT) & LANES
    return Patch(lanes, left, top)


class Landing(NamedTuple):
    """The part of a patch that lies on the canvas: flat canvas indices, the lanes there, alpha there."""

    where: I64
    lanes: U64
    alpha: U64


def land(patch: Patch, size: tuple[int, int], frame: I64 | None = None) -> Landing:
    """Cuts a patch to frames of `size` (H, W) and drops what is fully transparent.

    `frame` names the canvas frame of each window; window k lies on frame k by default.
    """
    height, width = size
    f, h, w = patch.lanes.shape
    frame = np.arange(f) if frame is None else frame
    x = patch.left[:, None] + np.arange(w)
    y = patch.top[:, None] + np.arange(h)
    inside = ((x >= 0) & (x < width))[:, None, :] & ((y >= 0) & (y < height))[:, :, None]
    inside &= patch.lanes != 0
    index = (frame[:, None, None] * height + y[:, :, None]) * width + x[:, None, :]
    lanes = patch.lanes[inside]
    return Landing(index[inside], lanes, alpha(lanes))


def over(canvas: U64, landing: Landing) -> None:
    """Lays a landed patch over `canvas` `[F, H, W]`, in place (Porter and Duff's over, alpha stretched to 0..256)."""
    flat = canvas.reshape(-1)
    keep = np.uint64(256) - (landing.alpha + (landing.alpha >> np.uint64(7)))
    flat[landing.where] = landing.lanes + (((flat[landing.where] * keep) >> EIGHT) & LANES)
