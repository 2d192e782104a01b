"""Cases of `sprites-v1`: ids, seeds, query points."""

from __future__ import annotations

import numpy as np
import pytest

from flashbench.cases.scenes import sprites
from flashbench.cases.scenes.sprites import case_ids, case_rng, make_case, scene_of
from flashbench.cases.schema import Case, stratum_of

SIZE, FRAMES = 48, 17


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [make_case(i, SIZE, FRAMES, 0, "boxes", "test")[0] for i in case_ids(12)]


def test_ids_say_the_stratum_and_come_in_turn() -> None:
    assert case_ids(8) == ("1-0000", "2-0000", "3-0000", "4-0000", "5-0000", "6-0000", "1-0001", "2-0001")
    assert case_ids(6) == case_ids(60)[:6]


def test_the_generator_of_a_case_is_a_hash_of_suite_id_and_seed() -> None:
    def first(*key: object) -> int:
        return int(case_rng(*key).integers(1 << 40))  # type: ignore[arg-type]

    assert first("sprites-v1-test", "1-0000", 0) == 226950416674
    others = [("sprites-v1-train", "1-0000", 0), ("sprites-v1-test", "1-0001", 0), ("sprites-v1-test", "1-0000", 1)]
    assert len({first("sprites-v1-test", "1-0000", 0), *(first(*o) for o in others)}) == 4


def test_objects_fill_the_stratum(cases: list[Case]) -> None:
    for case in cases:
        stratum = case.id[0] + ("+" if case.id[0] == "6" else "")
        assert case.stratum == stratum == stratum_of(len(case.objects))
    assert {len(scene_of(f"6-{i:04d}", 9, 0, "test").named) for i in range(20)} == {6, 7, 8}


def test_points_start_inside_the_mask_and_spread(cases: list[Case]) -> None:
    for case in cases:
        for o in case.objects:
            assert o.points is not None and o.masks is not None and o.point_visible is not None
            start = o.points[:, 0]
            assert start.shape == (sprites.POINTS, 2) and np.array_equal(start, np.rint(start))
            x, y = start.astype(int).T
            assert o.masks[0, y, x].all() and o.point_visible[:, 0].all()
            assert len(np.unique(start, axis=0)) == sprites.POINTS or o.masks[0].sum() < 5 * sprites.POINTS
            extent = (o.boxes[0, 2:] - o.boxes[0, :2]) * 0.4
            assert (np.ptp(start, axis=0) >= np.minimum(extent, 3)).all()


def test_a_point_is_visible_where_its_pixel_is_the_objects(cases: list[Case]) -> None:
    hidden = 0
    for case in cases:
        for o in case.objects:
            assert o.points is not None and o.masks is not None and o.point_visible is not None
            for track, seen in zip(o.points, o.point_visible, strict=True):
                for k, (x, y) in enumerate(np.rint(track).astype(int)):
                    inside = 0 <= x < SIZE and 0 <= y < SIZE
                    assert seen[k] == (inside and bool(o.masks[k, y, x]))
                    hidden += not seen[k]
    assert hidden > 0


def test_few_pixels_give_points_again_and_again() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[4, 4:7] = True
    points = sprites._query_points(mask, np.random.default_rng(0))
    assert len(points) == sprites.POINTS and {tuple(p) for p in points.astype(int)} == {(4, 4), (5, 4), (6, 4)}


def test_centres_lie_in_the_box(cases: list[Case]) -> None:
    for case in cases:
        for o in case.objects:
            assert o.centres is not None
            assert (o.centres >= o.boxes[:, :2] - 1).all() and (o.centres <= o.boxes[:, 2:] + 1).all()


def test_facts_are_told(cases: list[Case]) -> None:
    for case in cases:
        assert set(case.meta) == {"families", "weather", "background", "camera", "mover", "split"}
        assert len(case.meta["families"]) == len(case.objects) and case.meta["split"] == "test"
        assert all(o.name in case.prompt for o in case.objects)
    assert len({case.seed for case in cases}) == len(cases)
