"""Colour maps: what they show, and that they show nothing else."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashmotion.conditioning import PALETTE, colour_maps, maps_of

F, H, W = 4, 20, 30


def squares(*boxes: tuple[int, int, int, int], frames: int = F) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks, boxes and visibility of still squares given by their first and last columns and rows (x0, y0, x1, y1)."""
    masks = np.zeros((len(boxes), frames, H, W), np.bool_)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes, strict=True):
        mask[:, max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = True
    edge = np.array([[x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5] for x0, y0, x1, y1 in boxes], np.float32)
    return masks, np.repeat(edge[:, None], frames, axis=1), np.ones((len(boxes), frames), np.bool_)


def ring(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    out = np.zeros((H, W), np.bool_)
    out[y0 : y1 + 1, x0 : x1 + 1] = True
    out[y0 + 1 : y1, x0 + 1 : x1] = False
    return out


def test_colours_are_distinct_and_not_black() -> None:
    palette = PALETTE.astype(int)
    assert PALETTE.dtype == np.uint8 and palette.min() >= 63 and palette.max() <= 190
    apart = np.abs(palette[:, None] - palette[None]).sum(-1) + 999 * np.eye(len(palette), dtype=int)
    assert len(palette) >= 8 and apart.min() >= 40
    assert apart[:6, :6].min() >= 127  # the first six are corners of the cube


def test_masks_are_filled_on_every_frame() -> None:
    masks, boxes, visible = squares((2, 3, 7, 9), (15, 5, 20, 12))
    maps = colour_maps(masks, boxes, visible, "masks")
    assert maps.shape == (F, H, W, 3) and maps.dtype == np.uint8
    for i in range(2):
        assert (maps[masks[i]] == PALETTE[i]).all()
    assert not maps[~masks.any(0)].any()


def test_boxes_are_outlines_after_a_filled_first_frame() -> None:
    masks, boxes, visible = squares((2, 3, 7, 9))
    maps = colour_maps(masks, boxes, visible, "boxes")
    assert (maps[0][masks[0, 0]] == PALETTE[0]).all() and not maps[0][~masks[0, 0]].any()
    masks[0, 0, 3, 2] = False  # frame 0 shows what is seen of the object, not its box
    assert not colour_maps(masks, boxes, visible, "boxes")[0, 3, 2].any()
    for k in range(1, F):
        assert np.array_equal(maps[k].any(-1), ring(2, 3, 7, 9))
        assert (maps[k][ring(2, 3, 7, 9)] == PALETTE[0]).all()


def test_boxes_need_the_mask_of_frame_0_alone() -> None:
    masks, boxes, visible = squares((2, 3, 7, 9), (15, 5, 20, 12))
    whole, first = (colour_maps(m, boxes, visible, "boxes") for m in (masks, masks[:, :1]))
    assert np.array_equal(whole, first)


def test_unseen_objects_are_left_out() -> None:
    masks, boxes, visible = squares((2, 3, 7, 9), (15, 5, 20, 12))
    visible[0, 2] = False
    maps = colour_maps(masks, boxes, visible, "boxes")
    assert np.array_equal(maps[2].any(-1), ring(15, 5, 20, 12))
    assert np.array_equal(maps[1].any(-1), ring(2, 3, 7, 9) | ring(15, 5, 20, 12))


def test_later_objects_lie_over_earlier_ones() -> None:
    masks, boxes, visible = squares((2, 3, 9, 9), (6, 3, 12, 9))
    for condition in ("masks", "boxes"):
        maps = colour_maps(masks, boxes, visible, condition)
        assert (maps[:, 3, 6] == PALETTE[1]).all()


def test_boxes_are_cut_at_the_border() -> None:
    masks, boxes, visible = squares((-4, -3, 5, 6), (25, 15, 33, 24))
    maps = colour_maps(masks, boxes, visible, "boxes")[1].any(-1)
    expected = np.zeros((H, W), np.bool_)
    expected[:7, 5] = expected[6, :6] = True  # the sides that lie outside are not drawn
    expected[15:, 25] = expected[15, 25:] = True
    assert np.array_equal(maps, expected)


def test_a_box_wholly_outside_draws_nothing() -> None:
    for box in ((-9, 2, -3, 8), (40, 2, 45, 8), (3, -9, 8, -2), (3, 30, 8, 35)):
        masks, boxes, visible = squares((2, 3, 7, 9))
        boxes[:, 1:] = np.array(box, np.float32) + (-0.5, -0.5, 0.5, 0.5)
        assert not colour_maps(masks, boxes, visible, "boxes")[1:].any(), box


def test_outlines_are_one_hundredth_of_the_frame_wide() -> None:
    boxes = np.array([[[49.5, 59.5, 149.5, 159.5]] * 2], np.float32)
    masks = np.zeros((1, 1, 200, 300), np.bool_)
    drawn = colour_maps(masks, boxes, np.ones((1, 2), np.bool_), "boxes")[1].any(-1)
    assert drawn[100].sum() == 4 and drawn[:, 100].sum() == 4  # two sides, two px each
    assert drawn[60:160, 50:150].sum() == drawn.sum() == 100**2 - 96**2


def test_more_objects_than_colours_begin_again() -> None:
    n = len(PALETTE) + 1
    masks, boxes, visible = squares(*[(2 * i, 3, 2 * i, 6) for i in range(n)], frames=1)
    maps = colour_maps(masks, boxes, visible, "masks")
    assert (maps[0, 4, 0] == maps[0, 4, 2 * (n - 1)]).all()


@pytest.fixture(params=["masks", "boxes"])
def case(request: pytest.FixtureRequest) -> Case:
    suite = sprites_suite(4, 32, 17, condition=request.param)
    return suite.load_case("4-0000")


def test_what_is_asked_suffices(case: Case) -> None:
    maps = maps_of(case.asked())
    assert maps.shape == (17, 32, 32, 3) and np.array_equal(maps, maps_of(case))
    colours = {tuple(c) for c in maps[0].reshape(-1, 3).tolist()}
    assert colours == {(0, 0, 0), *(tuple(c) for c in PALETTE[:4].tolist())}


def test_an_object_without_the_masks_that_are_shown_is_refused(case: Case) -> None:
    def with_masks(masks: np.ndarray | None) -> Case:  # type: ignore[type-arg]
        changed = dataclasses.replace(case.objects[1], masks=masks)
        return dataclasses.replace(case, objects=(case.objects[0], changed, *case.objects[2:]))

    with pytest.raises(InputError, match="4-0000.* no mask on frame 0, which the model needs"):
        maps_of(with_masks(None))
    first = case.objects[1].masks[:1]  # type: ignore[index]
    if case.condition == "masks":
        with pytest.raises(InputError, match="no mask on every frame"):
            maps_of(with_masks(first))
    else:
        assert np.array_equal(maps_of(with_masks(first)), maps_of(case))
