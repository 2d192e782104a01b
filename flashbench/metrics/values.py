"""From measurements to values: what the catalogue's names mean, in NumPy alone.

Per-case metrics (`CASE_METRICS`) take one video's measurements together with the complete case; set metrics
(`SET_METRICS`) take the features of many videos, paired by case: entry i of both lists belongs to case i.

Measurements, by extractor (N objects, P points, T frames, F sampled frames, W windows):
    i3d       features [W, 400]
    lite0     frames [1 + F, 1280], subject [N, 1 + F, 1280], background [1 + F, 1280], index [1 + F]; frame 0 first
    lk        centres [N, T, 2], visible [N, T], masks [N, T, H, W], boxes [N, T, 4], points [N, P, T, 2],
              point_visible [N, P, T]; px of the frame
    pixels    psnr [T - 1], ssim [T - 1], flicker []
    stlpips   distances [F]
    text_lit, text_conse   frames [F, D], text [D]
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan as NAN
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case
from flashbench.metrics import consistency, frechet, mmd, pace, regions, text, tracks
from flashbench.metrics._arrays import Bools, Floats, feature_pair
from flashbench.metrics.catalogue import EXCESS, Metric
from flashbench.metrics.registry import Registry

Arrays = Mapping[str, npt.NDArray[Any]]
# `[F, D]` a video. One may be read from its file each time NumPy asks for it: there are more than memory holds.
FeatureList = Sequence[npt.NDArray[Any]]


class Paths:
    """Measured and asked paths of a case's objects at the 256 scale, `[N, T, 2]`, with visibility `[N, T]`.

    A measured path is the asked place on frame 0, which is given, plus the measured displacement since then: where
    exactly inside the object the tracker has its centre does not matter.
    """

    def __init__(self, case: Case, lk: Arrays) -> None:
        self.asked = tracks.to_256(np.stack([o.path for o in case.objects]), case.size)
        self.asked_visible: Bools = np.stack([o.visible for o in case.objects])
        centres = tracks.to_256(lk["centres"], case.size)
        self.measured: Floats = self.asked[:, :1] + centres - centres[:, :1]
        self.visible: Bools = np.asarray(lk["visible"], np.bool_)

    @property
    def all(self) -> tuple[Floats, Bools, Floats, Bools]:
        return self.measured, self.visible, self.asked, self.asked_visible

    @property
    def found(self) -> Floats:
        """The measured path, NaN where the tracker lost the object: a guess of where it might be is no hit."""
        return np.where(self.visible[..., None], self.measured, np.nan)


class Followed:
    """A video's objects as a tracker found them: `lk` in this module's table of measurements."""

    def __init__(self, case: Case, found: Arrays) -> None:
        self.case, self.found, self.paths = case, found, Paths(case, found)

    @functools.cached_property
    def epe(self) -> tracks.Epe:
        return tracks.epe(*self.paths.all, cap=tracks.DIAGONAL_256)

    @functools.cached_property
    def walks(self) -> pace.Walks:
        return pace.walks(*self.paths.all)

    @functools.cached_property
    def tapvid(self) -> list[tracks.TapVid]:
        """One entry an object: TAP-Vid pools points, and a video's value is the mean over its objects."""
        p = self.paths
        rows = zip(p.found, p.visible, p.asked, p.asked_visible, strict=True)
        return [tracks.tapvid(m[None], v[None], a[None], s[None], np.zeros(1, int)) for m, v, a, s in rows]


@dataclass(frozen=True)
class Sample:
    """One video: its complete case, its measurements by extractor, and the seconds it took (None for a reference)."""

    case: Case
    measured: Mapping[str, Arrays]
    seconds: float | None = None

    @functools.cached_property
    def _followed(self) -> dict[str, Followed]:
        return {}

    def followed(self, tracker: str) -> Followed:
        """What a tracker found, with what several metrics make of it."""
        if tracker not in self._followed:
            self._followed[tracker] = Followed(self.case, self.measured[tracker])
        return self._followed[tracker]


def mean(values: Iterable[float]) -> float:
    """Mean over the objects (frames, points) that have a value; NaN, without a warning, where none has."""
    array = np.asarray(list(values), np.float64)
    array = array[np.isfinite(array)]
    return float(array.mean()) if array.size else NAN


def _survival(f: Followed) -> float:
    rows = zip(f.paths.found, f.paths.asked, f.paths.asked_visible, strict=True)
    return mean(tracks.survival(w[None], a[None], v[None]) for w, a, v in rows)


def _epe_points(f: Followed) -> float:
    """Mean over objects of the mean over points; NaN where the condition fixes no points."""
    if f.case.condition != "masks":
        return NAN
    errors = []
    for o, points, seen in zip(f.case.objects, f.found["points"], f.found["point_visible"], strict=True):
        if o.points is not None and o.point_visible is not None:
            n = len(o.points)
            where, asked = (tracks.to_256(p, f.case.size) for p in (points[:n], o.points))
            errors.append(mean(tracks.epe(where, seen[:n], asked, o.point_visible, cap=tracks.DIAGONAL_256).mean))
    return mean(errors)


def _miou(f: Followed) -> float:
    ious = []
    for o, masks in zip(f.case.objects, f.found["masks"], strict=True):
        if o.masks is not None and len(o.masks) == f.case.frames:
            there = o.masks[1:].any(axis=(1, 2))
            ious.append(mean(regions.mask_iou(masks[1:][there], o.masks[1:][there])) if there.any() else NAN)
    return mean(ious)


def _biou(f: Followed) -> float:
    ious = []
    for o, boxes in zip(f.case.objects, f.found["boxes"], strict=True):
        seen = o.visible[1:] & (not o.bare)
        ious.append(mean(regions.box_iou(_cut(boxes[1:], f.case.size), _cut(o.boxes[1:], f.case.size))[seen]))
    return mean(ious)


def _cut(boxes: npt.NDArray[Any], size: tuple[int, int]) -> Floats:
    """Boxes without what lies beyond the frame."""
    height, width = size
    low, high = -0.5, (width - 0.5, height - 0.5) * 2
    return np.clip(np.asarray(boxes, np.float64), low, high)


def _subject(s: Sample) -> float:
    """Frames on which the object is asked to be seen count; a lost object has a zero row there, whose cosine is 0."""
    lite0, values = s.measured["lite0"], []
    for o, rows in zip(s.case.objects, lite0["subject"], strict=True):
        asked = o.visible[lite0["index"]] & (not o.bare)
        values.append(consistency.subject_consistency(rows[asked]) if asked.sum() > 1 else NAN)
    return mean(values)


def _background(s: Sample) -> float:
    """NaN where nobody says how large an object is: what it leaves of the frame would be a guess."""
    if any(o.bare for o in s.case.objects):
        return NAN
    return consistency.subject_consistency(s.measured["lite0"]["background"])


def _dynamic(f: Followed) -> float:
    rows = zip(f.found["points"], f.found["point_visible"], strict=True)
    return mean(consistency.dynamic_degree(tracks.to_256(p, f.case.size), v, f.case.fps) for p, v in rows)


# Names end with the tracker's.
_FOLLOWED: dict[str, Callable[[Followed], float]] = {
    "epe_{}": lambda f: mean(f.epe.mean),
    "epe_{}_median": lambda f: mean(f.epe.median),
    "epe_{}_early": lambda f: mean(f.epe.early),
    "epe_{}_middle": lambda f: mean(f.epe.middle),
    "epe_{}_late": lambda f: mean(f.epe.late),
    "epe_points_{}": _epe_points,
    "delta_avg_{}": lambda f: mean(t.delta_avg for t in f.tapvid),
    "aj_{}": lambda f: mean(t.aj for t in f.tapvid),
    "oa_{}": lambda f: mean(t.oa for t in f.tapvid),
    "survival_{}": _survival,
    "miou_{}": _miou,
    "biou_{}": _biou,
    "arrival_{}": lambda f: mean(pace.arrival_error(*f.paths.all, f.case.fps, walked=f.walks)),
    "speed_ratio_{}": lambda f: mean(pace.speed_ratio(*f.paths.all, walked=f.walks)),
    "dynamic_{}": _dynamic,
}


def followed_metrics(tracker: str) -> dict[str, Callable[[Sample], float]]:
    """The per-case metrics on what a tracker finds, by name."""

    def of(function: Callable[[Followed], float]) -> Callable[[Sample], float]:
        return lambda sample: function(sample.followed(tracker))

    return {name.format(tracker): of(function) for name, function in _FOLLOWED.items()}


_CASE: dict[str, Callable[[Sample], float]] = {
    **followed_metrics("lk"),
    "text_lit": lambda s: text.cosine_agreement(s.measured["text_lit"]["frames"], s.measured["text_lit"]["text"]),
    "text_conse": lambda s: text.cosine_agreement(s.measured["text_conse"]["frames"], s.measured["text_conse"]["text"]),
    "subject_lite0": _subject,
    "background_lite0": _background,
    "flicker": lambda s: float(s.measured["pixels"]["flicker"]),
    "psnr": lambda s: mean(s.measured["pixels"]["psnr"]),
    "ssim": lambda s: mean(s.measured["pixels"]["ssim"]),
    "stlpips": lambda s: mean(s.measured["stlpips"]["distances"]),
    "seconds": lambda s: NAN if s.seconds is None else s.seconds,
}
CASE_METRICS = Registry(_CASE)


def case_values(
    sample: Sample | None, reference: Sample, metrics: Iterable[Metric]
) -> tuple[dict[str, float], dict[str, float]]:
    """Per-case metrics of one case.

    Args:
        sample: the answer; None where the model gave none: it counts as worst wherever the reference has a value.
        reference: the reference video of the same case, measured in the same way.
        metrics: the wanted ones; set metrics among them are passed over.

    Returns:
        Values and floors by name, NaN where undefined.
    """
    values, floors = {}, {}
    for metric in (m for m in metrics if m.kind == "case"):
        name = metric.name
        floors[name] = CASE_METRICS[name](reference) if metric.floored else NAN
        if sample is None:
            defined = not metric.floored or math.isfinite(floors[name])
            values[name] = worst(metric, reference.case) if defined else NAN
        elif name.endswith(EXCESS):
            plain = CASE_METRICS[name.removesuffix(EXCESS)]
            values[name] = plain(sample) - plain(reference)
        else:
            values[name] = CASE_METRICS[name](sample)
    return values, floors


def worst(metric: Metric, case: Case) -> float:
    """What a case without an answer counts as. An infinite `worst` is the duration of the asked video."""
    return (case.frames - 1) / case.fps if math.isinf(metric.worst) else metric.worst


# ---------------------------------------------------------------------------------------------------------------------
# Set metrics.


def pooled_frechet(ours: FeatureList, theirs: FeatureList) -> float:
    """Frechet distance between all rows of all videos. NaN below two rows."""
    if min(sum(map(len, ours)), sum(map(len, theirs))) < 2:
        return NAN
    return frechet.between(frechet.gaussian(ours), frechet.gaussian(theirs))


def paired_mmd2(x: npt.ArrayLike, y: npt.ArrayLike, degree: int = 3, coef0: float = 1.0) -> float:
    """`mmd.mmd2` without the pairs (x_i, y_i), which share a first frame and a path: sum over i != j of

        k(x_i, x_j) + k(y_i, y_j) - k(x_i, y_j) - k(x_j, y_i), over n(n-1)

    (Gretton et al. 2012, the U-statistic of h(z_i, z_j).) Zero where X = Y.

    Args:
        x, y: features `[N, D]`, N >= 2, row i of both from one case.
    """
    x, y = feature_pair(x, y, least=2)
    n = len(x)
    whole, trace = mmd.kernel_sums(x, y, degree, 1 / x.shape[1], coef0)
    return mmd.mmd2(x, y, degree=degree, coef0=coef0) + 2 * (whole / n**2 - (whole - trace) / (n * (n - 1)))


def _windowwise(distance: Callable[[Floats, Floats], float], ours: FeatureList, theirs: FeatureList) -> float:
    """Mean over window positions of a distance between the videos' features at that position. NaN below two videos."""
    if min(len(ours), len(theirs)) < 2:
        return NAN
    x, y = np.stack(list(ours), axis=1), np.stack(list(theirs), axis=1)  # [W, N, D]
    return mean(distance(a, b) for a, b in zip(x, y, strict=True))


@dataclass(frozen=True)
class Kernel:
    """Of an MMD: scale * ((x'y / D + coef0) ^ degree)."""

    degree: int = 3
    coef0: float = 1.0
    scale: float = 1.0


@dataclass(frozen=True)
class SetMetric:
    """A distance between sets of videos: `paired` for answers and references of the same cases, `apart` for sets of
    different cases (the floor). kernel: that of an MMD; None: it is a Frechet distance."""

    paired: Callable[[FeatureList, FeatureList], float]
    apart: Callable[[FeatureList, FeatureList], float]
    kernel: Kernel | None = None

    def floor(self, reference: FeatureList) -> float:
        """One half of the reference videos against the other (every second case); NaN below four videos."""
        return self.apart(reference[::2], reference[1::2]) if len(reference) >= 4 else NAN


def mmd_metric(kernel: Kernel) -> SetMetric:
    """Squared MMD at each window position, then the mean."""

    def scaled(distance: Callable[..., float], x: Floats, y: Floats) -> float:
        return kernel.scale * distance(x, y, degree=kernel.degree, coef0=kernel.coef0)

    paired, apart = (functools.partial(scaled, distance) for distance in (paired_mmd2, mmd.mmd2))
    return SetMetric(functools.partial(_windowwise, paired), functools.partial(_windowwise, apart), kernel)


FRECHET = SetMetric(pooled_frechet, pooled_frechet)
SET_METRICS: Registry[SetMetric] = Registry({"fvd_i3d": FRECHET, "mmd_i3d": mmd_metric(Kernel()), "fid_lite0": FRECHET})
