"""Weather: particles that keep entering, named in the prompt but placed by nobody.

A cloud of P particles over T frames is one `Placement` of P * T entries (particle first), all integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from flashbench.cases.scenes.raster import ONE, Placement, Texture

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kind:
    """How one weather moves. Lengths in thousandths of the frame side, speeds in thousandths a second."""

    phrase: str
    count: tuple[int, int]
    size: tuple[int, int]
    stretch: int  # height over width, percent
    drift: tuple[int, int]  # sideways
    fall: tuple[int, int]  # downward; negative rises
    sway: int  # amplitude of the sideways swing
    spin: tuple[int, int]  # thousandths of a turn a second
    opacity: tuple[int, int]
    shapes: tuple[str, ...]


# fmt: off
KINDS: dict[str, Kind] = {
    # phrase, count, size, stretch, drift, fall, sway, spin, opacity, shapes
    "snow": Kind(
        "snow is falling", (9, 15), (60, 115), 100, (-60, 60), (120, 260), 30, (0, 1), (210, 256), ("flake",)),
    "rain": Kind(
        "rain is falling", (10, 16), (24, 34), 500, (-40, 40), (700, 1000), 0, (0, 1), (130, 190), ("drop",)),
    "sparks": Kind(
        "glowing sparks are rising", (8, 14), (55, 100), 100, (-80, 80), (-320, -130), 25, (0, 1), (200, 256),
        ("spark",)),
    "bubbles": Kind(
        "soap bubbles are rising", (4, 7), (120, 200), 100, (-50, 50), (-200, -90), 25, (0, 1), (170, 230),
        ("bubble",)),
    "leaves": Kind(
        "leaves are drifting by", (5, 8), (100, 160), 60, (120, 280), (50, 150), 30, (-300, 300), (230, 256),
        ("rust", "gold", "olive")),
    "ripples": Kind(
        "rippling light is playing over the scene", (6, 9), (350, 700), 45, (-160, 160), (-60, 60), 60, (-20, 20),
        (60, 110), ("glow",)),
}
# fmt: on


def _disc(n: int, core: float, edge: float, colour: tuple[int, int, int], ring: bool = False) -> npt.NDArray[np.uint8]:
    """Round picture of n x n: opaque inside `core`, gone outside `edge` (fractions of the half side)."""
    c = 2 * np.arange(n) - (n - 1)
    r = np.sqrt(c[:, None] ** 2 + c[None, :] ** 2) / (n - 1)
    a = np.clip((edge - r) / (edge - core), 0, 1)
    if ring:
        a = a * np.clip(0.25 + 0.75 * (r / edge) ** 4, 0, 1)
    rgba = np.zeros((n, n, 4), np.uint8)
    rgba[..., :3] = colour
    rgba[..., 3] = np.rint(a * 255)
    return rgba


@cache
def texture(shape: str) -> Texture:
    """The picture of one kind of particle."""
    pictures = {
        "flake": _disc(24, 0.2, 1.0, (255, 255, 255)),
        "drop": _disc(24, 0.3, 1.0, (200, 215, 235)),
        "spark": _disc(24, 0.1, 1.0, (255, 176, 60)),
        "bubble": _disc(48, 0.7, 1.0, (225, 240, 255), ring=True),
        "rust": _disc(24, 0.5, 1.0, (176, 82, 38)),
        "gold": _disc(24, 0.5, 1.0, (222, 170, 52)),
        "olive": _disc(24, 0.5, 1.0, (122, 132, 54)),
        "glow": _disc(64, 0.0, 1.0, (255, 250, 225)),
    }
    return Texture.build(pictures[shape])


@dataclass(frozen=True)
class Cloud:
    """Particles of one shape.

    Each row: x, y, size, drift, fall, sway phase, spin, opacity (units of Kind; x and y in thousandths).
    """

    kind: str
    shape: str
    rows: I64

    def placement(self, size: int, time_ms: I64) -> Placement:
        """Where the particles are at `time_ms` `[F]` on frames of `size` px: P * F entries, particle first."""
        k = KINDS[self.kind]
        x0, y0, side, drift, fall, phase, spin, opacity = (self.rows[:, i, None] for i in range(8))
        swing = np.rint(np.sin(2 * np.pi * ((time_ms[None, :] * 400) // 1000 + phase) / 1000) * k.sway).astype(np.int64)
        tall = side * k.stretch // 100
        room = 1000 + np.maximum(side, tall)
        x = (x0 + drift * time_ms // 1000 + swing) % room - (room - 1000) // 2
        y = (y0 + fall * time_ms // 1000) % room - (room - 1000) // 2
        px = size * ONE // 1000
        flat = np.broadcast_to
        shape = x.shape
        return Placement(
            (x * px - ONE // 2).ravel(),
            (y * px - ONE // 2).ravel(),
            flat(side * px, shape).ravel(),
            flat(tall * px, shape).ravel(),
            ((spin * time_ms * ONE) // 1_000_000 + phase * 65).ravel(),
            flat(opacity, shape).ravel(),
        )


def sample_clouds(rng: np.random.Generator, kind: str) -> tuple[Cloud, ...]:
    """Draws the particles of one weather, one Cloud a shape."""
    k = KINDS[kind]
    n = int(rng.integers(*k.count))
    wind = int(rng.integers(k.drift[0], k.drift[1] + 1))
    sign = 1 if rng.random() < 0.5 else -1
    clouds = []
    for i, shape in enumerate(k.shapes):
        m = n // len(k.shapes) + (i < n % len(k.shapes))
        spread = rng.integers(-30, 31, m)
        rows = np.stack(
            [
                rng.integers(0, 1000, m),
                rng.integers(0, 1000, m),
                rng.integers(k.size[0], k.size[1] + 1, m),
                sign * (wind + spread),
                rng.integers(k.fall[0], k.fall[1] + 1, m),
                rng.integers(0, 1000, m),
                rng.integers(k.spin[0], k.spin[1] + 1, m),
                rng.integers(k.opacity[0], k.opacity[1] + 1, m),
            ],
            axis=1,
        )
        clouds.append(Cloud(kind, shape, rows.astype(np.int64)))
    return tuple(clouds)
