"""From measurements to values: what each name means, on measurements made by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from flashbench.cases.schema import Case, ObjectTrack, around
from flashbench.metrics import mmd
from flashbench.metrics.catalogue import METRICS, choose
from flashbench.metrics.values import CASE_METRICS, SET_METRICS, Sample, case_values, paired_mmd2, worst

T, H, W = 25, 64, 128  # px@256: 4 a pixel down, 2 across
CAP = 256 * 2**0.5
LK = tuple(m for m in METRICS.values() if m.needs == ("lk",))


def track(top: int, condition_points: int = 3) -> ObjectTrack:
    """A square of 9 px that moves 2 px a frame to the right."""
    left = 4 + 2 * np.arange(T)
    masks = np.zeros((T, H, W), bool)
    for t in range(T):
        masks[t, top : top + 9, left[t] : left[t] + 9] = True
    corner = np.stack([left, np.full(T, top)], axis=1).astype(np.float32)
    boxes = np.concatenate([corner - 0.5, corner + 8.5], axis=1).astype(np.float32)
    points = np.stack([corner + k for k in range(condition_points)]).astype(np.float32)
    return ObjectTrack("square", boxes, np.ones(T, bool), masks, corner + 4, points, np.ones(points.shape[:2], bool))


def case(*tops: int, condition: str = "boxes") -> Case:
    frame = np.zeros((H, W, 3), np.uint8)
    return Case("a", "Squares walk.", frame, tuple(track(t) for t in tops), 24.0, condition)  # type: ignore[arg-type]


def found(asked: Case, shift: float = 0.0, drift: float = 0.0, lost: int = 0) -> dict[str, npt.NDArray[Any]]:
    """What a tracker finds that is `shift` px to the right (frame 0 too), drifts by `drift` px a frame from frame 1 on,
    and loses the objects on the last `lost` frames."""
    move = np.stack([shift + drift * np.arange(T), np.zeros(T)], axis=1).astype(np.float32)
    visible = np.arange(T) < T - lost
    masks = np.stack([o.masks for o in asked.objects]) & visible[None, :, None, None]  # type: ignore[arg-type]
    points = np.stack([o.points for o in asked.objects]) + move  # type: ignore[arg-type]
    return {
        "centres": np.stack([o.path for o in asked.objects]) + move,
        "visible": np.tile(visible, (len(asked.objects), 1)),
        "masks": masks,
        "boxes": np.stack([o.boxes for o in asked.objects]) + np.tile(move, 2),
        "points": points,
        "point_visible": np.tile(visible, (*points.shape[:2], 1)),
    }


def value(name: str, asked: Case, **lk: Any) -> float:
    return CASE_METRICS[name](Sample(asked, {"lk": found(asked, **lk)}))


def test_of_points_alone_nothing_is_guessed() -> None:
    """Nobody says how large such an object is: what needs its extent has no value, the path has one."""
    known = track(40)
    assert known.points is not None and known.point_visible is not None
    bare = ObjectTrack("dots", around(known.points), known.visible, None, None, known.points, known.point_visible)
    assert bare.bare and not known.bare and not dataclasses.replace(bare, boxes=bare.boxes + 1).bare

    def sample(*objects: ObjectTrack) -> Sample:
        lk = {k: np.repeat(v, len(objects), axis=0) for k, v in found(case(40)).items()}
        rows = np.eye(4, 6)[None].repeat(len(objects), axis=0)
        lite0 = {"subject": rows, "background": rows[0], "index": np.arange(4)}
        return Sample(dataclasses.replace(case(40), objects=objects), {"lk": lk, "lite0": lite0})

    for name in ("biou_lk", "miou_lk", "subject_lite0", "background_lite0"):
        assert math.isnan(CASE_METRICS[name](sample(bare))), name
    assert CASE_METRICS["epe_lk"](sample(bare)) == 0
    assert CASE_METRICS["biou_lk"](sample(bare, known)) == pytest.approx(1)
    assert math.isnan(CASE_METRICS["background_lite0"](sample(bare, known)))


@pytest.mark.parametrize("metric", LK, ids=lambda m: m.name)
def test_the_truth_is_best(metric: Any) -> None:
    asked = case(5, 40, condition="masks")
    sample = Sample(asked, {"lk": found(asked)})
    best = {"lower": metric.low, "higher": metric.high, "none": {"speed_ratio_lk": 1, "dynamic_lk": 2 * 2 * 24}}[
        metric.direction
    ]
    got = case_values(sample, sample, [metric])[0][metric.name]
    best = 0 if metric.name == "epe_lk_excess" else best
    assert got == pytest.approx(best[metric.name] if isinstance(best, dict) else best, abs=1e-4)


def test_errors_are_at_the_256_scale_from_frame_0_on() -> None:
    asked = case(5)
    assert value("epe_lk", asked, shift=3.0) == pytest.approx(
        0, abs=1e-4
    )  # where in the object the centre is does not matter
    assert value("epe_lk", asked, drift=0.5) == pytest.approx(2 * 0.5 * np.mean(np.arange(1, T)))
    assert value("epe_lk_median", asked, drift=0.5) == pytest.approx(2 * 0.5 * np.median(np.arange(1, T)))
    thirds = [value(f"epe_lk_{part}", asked, drift=0.5) for part in ("early", "middle", "late")]
    assert thirds == pytest.approx([2 * 0.5 * np.mean(part) for part in np.split(np.arange(1, T), 3)])


def test_a_lost_object_is_off_by_the_diagonal_and_missed() -> None:
    asked, lost = case(5), 6
    share = lost / (T - 1)
    assert value("epe_lk", asked, lost=lost) == pytest.approx(CAP * share, rel=1e-4)
    assert value("epe_lk_median", asked, lost=lost) == pytest.approx(0, abs=1e-4)
    for name in ("delta_avg_lk", "aj_lk", "oa_lk", "survival_lk", "miou_lk"):
        assert value(name, asked, lost=lost) == pytest.approx(1 - share), name


def test_objects_weigh_the_same_whatever_their_frames_and_points() -> None:
    asked = case(5, 40, condition="masks")
    few = asked.objects[1]
    hidden = few.visible & (np.arange(T) < 3)
    points, seen = few.points[:1], few.point_visible[:1]  # type: ignore[index]
    asked = dataclasses.replace(
        asked, objects=(asked.objects[0], dataclasses.replace(few, visible=hidden, points=points, point_visible=seen))
    )
    lk = found(case(5, 40))
    lk["centres"][1] += 2.0 * np.minimum(1, np.arange(T))[:, None].astype(np.float32) * (1, 0)
    lk["points"][1] += 2.0 * np.minimum(1, np.arange(T))[:, None].astype(np.float32) * (1, 0)
    sample = Sample(asked, {"lk": lk})
    assert CASE_METRICS["epe_lk"](sample) == pytest.approx(2.0)  # 0 and 4 px@256
    assert CASE_METRICS["epe_points_lk"](sample) == pytest.approx(2.0)


def test_points_are_scored_only_where_the_condition_fixes_them() -> None:
    assert math.isnan(value("epe_points_lk", case(5)))
    assert value("epe_points_lk", case(5, condition="masks"), drift=0.5) == pytest.approx(np.mean(np.arange(1, T)))


def test_iou_counts_frames_on_which_there_is_something() -> None:
    asked = case(5)
    masks = asked.objects[0].masks.copy()  # type: ignore[union-attr]
    masks[10:20] = False
    asked = dataclasses.replace(asked, objects=(dataclasses.replace(asked.objects[0], masks=masks),))
    assert value("miou_lk", asked) == 1
    only_first = dataclasses.replace(asked.objects[0], masks=masks[:1])
    lk = found(case(5))
    assert math.isnan(CASE_METRICS["miou_lk"](Sample(dataclasses.replace(asked, objects=(only_first,)), {"lk": lk})))


def test_boxes_are_cut_to_the_frame() -> None:
    asked = case(5)
    wide = asked.objects[0].boxes.copy()
    wide[:, 0] -= 50
    asked = dataclasses.replace(asked, objects=(dataclasses.replace(asked.objects[0], boxes=wide),))
    lk = found(case(5))
    lk["boxes"][..., 0] -= 90  # beyond the frame both are the same
    lk["boxes"][:, -1] = lk["boxes"][:, -2]
    expected = CASE_METRICS["biou_lk"](Sample(asked, {"lk": {**lk, "boxes": lk["boxes"][:, :]}}))
    assert 0.9 < expected < 1


def test_a_still_object_never_arrives() -> None:
    asked = case(5)
    assert value("speed_ratio_lk", asked, drift=-2) == 0
    assert value("arrival_lk", asked, drift=-2) == pytest.approx((T - 1) / 24)
    assert value("dynamic_lk", asked, drift=-2) == pytest.approx(0, abs=1e-4)
    assert value("speed_ratio_lk", asked, drift=-1) == pytest.approx(0.5, abs=0.02)


def test_looks_come_from_features_of_sampled_frames(rng: np.random.Generator) -> None:
    asked = case(5)
    asked = dataclasses.replace(asked, objects=(dataclasses.replace(asked.objects[0], visible=np.arange(T) != 8),))
    steady = np.tile(rng.random(6), (4, 1))
    odd = steady.copy()
    odd[2] = 0  # the frame on which the object is not asked to be seen
    lite0 = {"index": np.array([0, 1, 8, 15]), "subject": odd[None], "background": odd, "frames": odd}
    sample = Sample(asked, {"lite0": lite0, "text_lit": {"frames": odd[:2], "text": steady[0]}})
    assert CASE_METRICS["subject_lite0"](sample) == pytest.approx(1)
    assert CASE_METRICS["background_lite0"](sample) == pytest.approx((1 + 0 + 0.5) / 3)
    assert CASE_METRICS["text_lit"](sample) == pytest.approx(1)
    lost = Sample(asked, {"lite0": {**lite0, "subject": odd[None] * [[[1], [1], [1], [0]]]}})
    assert CASE_METRICS["subject_lite0"](lost) == pytest.approx(0.5)


def test_excess_is_raw_less_floor_and_floors_are_the_reference_s() -> None:
    asked = case(5)
    sample, reference = (Sample(asked, {"lk": found(asked, drift=d)}) for d in (0.5, 0.1))
    values, floors = case_values(sample, reference, choose(["epe_lk", "epe_lk_excess", "fvd_i3d"]))
    assert set(values) == set(floors) == {"epe_lk", "epe_lk_excess"}
    assert floors["epe_lk"] == pytest.approx(values["epe_lk"] / 5)
    assert values["epe_lk_excess"] == pytest.approx(values["epe_lk"] * 0.8)
    assert math.isnan(floors["epe_lk_excess"])


def test_no_answer_is_worst_wherever_the_reference_has_a_value() -> None:
    asked = case(5)
    reference = Sample(asked, {"lk": found(asked)})
    values, _ = case_values(None, reference, [*LK, METRICS["psnr"], METRICS["seconds"]])
    assert values["epe_lk"] == values["epe_lk_excess"] == pytest.approx(CAP)
    assert values["delta_avg_lk"] == values["miou_lk"] == values["speed_ratio_lk"] == values["psnr"] == 0
    assert values["arrival_lk"] == pytest.approx((T - 1) / 24) == worst(METRICS["arrival_lk"], asked)
    assert math.isnan(values["epe_points_lk"])
    assert math.isnan(values["seconds"])


# ---------------------------------------------------------------------------------------------------------------------
# Set metrics.


def features(rng: np.random.Generator, videos: int, shift: float = 0.0) -> list[npt.NDArray[np.float64]]:
    return [rng.normal(shift, 1, (3, 10)) for _ in range(videos)]


@pytest.mark.parametrize("name", list(SET_METRICS))
def test_equal_sets_are_at_distance_zero_and_shifted_ones_are_not(name: str, rng: np.random.Generator) -> None:
    ours = features(rng, 24)
    assert SET_METRICS[name].paired(ours, ours) == pytest.approx(0, abs=1e-9)
    assert SET_METRICS[name].paired([f + 1 for f in ours], ours) > 1


@pytest.mark.parametrize("name", list(SET_METRICS))
def test_the_order_of_cases_does_not_matter(name: str, rng: np.random.Generator) -> None:
    ours, theirs, order = features(rng, 12), features(rng, 12, 0.3), rng.permutation(12)
    first = SET_METRICS[name].paired(ours, theirs)
    assert SET_METRICS[name].paired([ours[i] for i in order], [theirs[i] for i in order]) == pytest.approx(first)


def test_paired_mmd_is_unbiased_where_answers_resemble_their_references(rng: np.random.Generator) -> None:
    """Answers that are noisy references, with the right distribution: the plain U-statistic is pulled below zero."""
    plain, paired = [], []
    for _ in range(300):
        x = rng.normal(0, 1, (16, 6))
        y = 0.9 * x + rng.normal(0, (1 - 0.81) ** 0.5, x.shape)
        plain.append(mmd.mmd2(x, y))
        paired.append(paired_mmd2(x, y))
    error = np.std(paired) / len(paired) ** 0.5
    assert abs(np.mean(paired)) < 3 * error
    assert np.mean(plain) < -10 * error


def test_paired_mmd_is_the_mean_of_h(rng: np.random.Generator) -> None:
    x, y = rng.normal(0, 1, (5, 4)), rng.normal(0.5, 1, (5, 4))

    def k(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
        return float((a @ b / 4 + 1) ** 3)

    pairs = [(i, j) for i in range(5) for j in range(5) if i != j]
    h = [k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(x[j], y[i]) for i, j in pairs]
    assert paired_mmd2(x, y) == pytest.approx(np.mean(h))


def test_floors_part_the_reference_by_video(rng: np.random.Generator) -> None:
    videos = features(rng, 8)
    for metric in SET_METRICS.values():
        assert metric.floor(videos) == metric.apart(videos[::2], videos[1::2])
        assert math.isnan(metric.floor(videos[:3]))


def test_one_video_alone_has_no_distance(rng: np.random.Generator) -> None:
    ours = features(rng, 1)
    assert math.isnan(SET_METRICS["mmd_i3d"].paired(ours, ours))
