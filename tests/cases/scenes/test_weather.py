"""Weather: particles of the promised number, size and direction, that keep entering and never pop up in sight."""

from __future__ import annotations

import numpy as np
import pytest

from flashbench.cases.scenes import weather
from flashbench.cases.scenes.raster import ONE, alpha, unpack
from flashbench.cases.scenes.weather import KINDS, Cloud, sample_clouds

TIME = np.arange(121, dtype=np.int64) * 1000 // 24
SIZE = 64


def paths(cloud: Cloud) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres `[P, F, 2]` and the longer side `[P]` in thousandths of the frame side; opacity `[P, F]`."""
    p = cloud.placement(SIZE, TIME)
    n = len(cloud.rows)
    centres = np.stack([p.x, p.y], axis=1).reshape(n, len(TIME), 2)
    side = np.maximum(p.width, p.height).reshape(n, -1)[:, 0]
    unit = SIZE * ONE / 1000
    return (centres + ONE / 2) / unit, side / unit, p.opacity.reshape(n, -1)


@pytest.mark.parametrize("kind", KINDS)
def test_numbers_are_as_the_table_says(kind: str) -> None:
    k = KINDS[kind]
    for seed in range(10):
        clouds = sample_clouds(np.random.default_rng(seed), kind)
        assert [c.shape for c in clouds] == list(k.shapes) and all(c.kind == kind for c in clouds)
        rows = np.concatenate([c.rows for c in clouds])
        assert k.count[0] <= len(rows) < k.count[1] and rows.dtype == np.int64
        for column, (low, high) in {2: k.size, 4: k.fall, 6: k.spin, 7: k.opacity}.items():
            assert rows[:, column].min() >= low and rows[:, column].max() <= high
        again = sample_clouds(np.random.default_rng(seed), kind)
        assert all(np.array_equal(a.rows, b.rows) for a, b in zip(clouds, again, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_particles_wrap_out_of_sight_and_keep_entering(kind: str) -> None:
    entered = 0
    for seed in range(4):
        for cloud in sample_clouds(np.random.default_rng(seed), kind):
            at, side, _ = paths(cloud)
            half = np.maximum(side, 1)[:, None] / 2
            assert (at >= -half[..., None] - 2).all() and (at <= 1000 + half[..., None] + 2).all()
            jump = np.abs(np.diff(at, axis=1)) > 500
            for axis in (0, 1):
                p, k = np.nonzero(jump[..., axis])
                edge = np.minimum(at[p, k, axis], 1000 - at[p, k, axis])  # distance inside the nearer border
                step = np.abs(np.median(np.diff(at[..., axis], axis=1), axis=1))[p] + KINDS[kind].sway / 4 + 2
                # One more step of its own and it is wholly outside.
                assert (edge - step <= -half[p, 0] + 2).all()
                entered += len(p)
    assert entered > 0


def test_snow_and_rain_fall_sparks_and_bubbles_rise_leaves_blow() -> None:
    def mean_step(kind: str) -> np.ndarray:
        clouds = sample_clouds(np.random.default_rng(3), kind)
        return np.mean([np.median(np.diff(paths(c)[0], axis=1), axis=(0, 1)) for c in clouds], axis=0)

    assert mean_step("snow")[1] > 2 and mean_step("rain")[1] > 20
    assert mean_step("sparks")[1] < -2 and mean_step("bubbles")[1] < -2
    assert abs(mean_step("leaves")[0]) > 2 and mean_step("leaves")[1] > 1


def test_positions_depend_on_the_time_alone() -> None:
    cloud = sample_clouds(np.random.default_rng(0), "leaves")[0]
    some = [0, 7, 50]
    whole, part = cloud.placement(SIZE, TIME), cloud.placement(SIZE, TIME[some])
    for a, b in zip(whole, part, strict=True):
        assert np.array_equal(a.reshape(-1, 121)[:, some], b.reshape(-1, 3))


@pytest.mark.parametrize("shape", sorted({s for k in KINDS.values() for s in k.shapes}))
def test_pictures_are_round_and_soft(shape: str) -> None:
    texture = weather.texture(shape)
    n = int(texture.width[0]) + 4
    picture = texture.flat[: n * n].reshape(n, n)
    assert np.array_equal(picture, picture[::-1]) and np.array_equal(picture, picture.T)
    a = alpha(picture)[2:-2, 2:-2]
    assert a[0, 0] == 0 and a.max() > 100 and unpack(picture).max() > 50
    assert len(np.unique(a)) > 6  # no hard edge


def test_phrases_are_clauses() -> None:
    assert all(" is " in k.phrase or " are " in k.phrase for k in KINDS.values())
    assert len({k.phrase for k in KINDS.values()}) == len(KINDS)
