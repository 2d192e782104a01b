"""Every metric by name: unit, direction, range, formula, source, and what it cannot see.

Frame 0 is given to the model and is left out of every comparison with the target. Distances are at the
256 x 256-equivalent scale (px@256). Trajectories are compared at object centres, and averaged points -> object -> video
-> stratum; the value of `all` is the mean over videos (strata of equal size weigh the same). A video that is missing
counts as worst. A name states its network or tracker (i3d, lite0, lk, ...); names that differ are never in one column.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf as INF
from math import nan as NAN
from typing import Any, Literal

from flashbench.cases.schema import Pictures
from flashbench.errors import InputError, meant
from flashbench.metrics.pixels import PSNR_CAP
from flashbench.metrics.registry import BROKEN, Registry
from flashbench.metrics.tracks import DIAGONAL_256

EXCESS = "_excess"  # end of the name of a value that the reference's is taken from
Direction = Literal["higher", "lower", "none"]
Kind = Literal["case", "set"]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name: as in results; `unit`: of its values.
        direction: which way is better; `none` where neither is (compare with the floor, or with 1).
        low, high: range of its values.
        formula: how the value comes about.
        source: the publication whose definition is followed.
        needs: names of the extractors whose measurements it takes.
        blind: what it cannot see.
        kind: `case`: one value a video, averaged; `set`: one value for a set of videos, `n` counts rows of features.
        worst: what a case without an answer counts as; NaN: such a case is left out (of `set` metrics: the features of
            a black video stand in).
        floored: whether the reference videos are given the same metric as a floor.
        version: counts changes of the definition; a part of the metric's fingerprint.
        embedded: its networks come with flashbench, and it is taken where no metric is named.
        pictures: the only ones that it can read (`Suite.pictures`), or None.
        wants: what a case must hold for it beside a path; a metric that no case holds this for is left out by name.
    """

    name: str
    unit: str
    direction: Direction
    low: float
    high: float
    formula: str
    source: str
    needs: tuple[str, ...]
    blind: str
    kind: Kind = "case"
    worst: float = NAN
    floored: bool = True
    version: int = 1
    embedded: bool = True
    pictures: Pictures | None = None
    wants: str = ""

    @property
    def needs_reference(self) -> bool:
        """Whether the reference videos must be measured too."""
        return self.floored or self.kind == "set" or self.name.endswith(EXCESS)


_TAPVID = "TAP-Vid (Doersch et al. 2022), 'first' protocol, on object centres"
_VBENCH = "VBench (Huang et al. 2024), on another network"
_EPE_SOURCE = "end-point error, as MoveBench reports it"
_LOST = "whether the model or the tracker lost an object: either counts as off by the diagonal; see the floor"
_EXTENT = "boxes or masks"
_CLIPS = (
    "windows of 16 frames at stride max(1, (T-1)//48) from beginning, middle and end of frames 1..T-1 "
    "(T = 121: stride 2, from frames 1, 45 and 90; T at least 17)"
)
_SAMPLED = "frames 1, 1+s, 1+2s, ..., s = max(1, (T-1)//24)"
_PSNR = f"10 log10(255^2 / MSE) to the reference, at most {PSNR_CAP:.0f}, mean over frames 1..T-1"
_STLPIPS = f"ST-LPIPS (AlexNet) distance to the reference, mean over {_SAMPLED}"


def _epe(name: str, over: str, blind: str = _LOST, wants: str = "") -> Metric:
    formula = (
        "|tracked - asked centre| on frames on which the object is asked to be seen; capped at the diagonal, lost = "
        f"capped; {over}"
    )
    worst = DIAGONAL_256
    return Metric(name, "px@256", "lower", 0, worst, formula, _EPE_SOURCE, ("lk",), blind, worst=worst, wants=wants)


def _share(name: str, formula: str, source: str, blind: str, extractor: str = "lk", wants: str = "") -> Metric:
    return Metric(name, "1", "higher", 0, 1, formula, source, (extractor,), blind, worst=0, wants=wants)


def _likeness(
    name: str,
    unit: str,
    direction: Direction,
    span: tuple[float, float],
    formula: str,
    source: str,
    extractor: str,
    worst: float | None = None,
) -> Metric:
    low, high = span
    blind = "what the condition leaves open counts as error"
    missing = low if worst is None else worst
    return Metric(name, unit, direction, low, high, formula, source, (extractor,), blind, worst=missing, floored=False)


_SETS = (
    Metric(
        name="fvd_i3d",
        unit="squared logits",
        direction="lower",
        low=0,
        high=INF,
        formula=f"Frechet distance between I3D-K400 logits of answers and references; {_CLIPS}; windows are pooled, "
        "which makes the most of few videos and lets drift widen the cloud; covariances over n-1; n counts windows",
        source="Unterthiner et al. 2018; windows over the whole sequence are ours",
        needs=("i3d",),
        blind="mostly bias at small n: compare at equal n only; which video is which; frames between the windows",
        kind="set",
    ),
    Metric(
        name="mmd_i3d",
        unit="1",
        direction="lower",
        low=-INF,
        high=INF,
        formula="squared MMD with kernel (x'y/D + 1)^3 on the logits of the same windows: U-statistic over answers and "
        "references of different cases, at each window position, then the mean; n counts windows",
        source="Gretton et al. 2012, U-statistic of h(z_i, z_j); kernel of KID (Binkowski et al. 2018)",
        needs=("i3d",),
        blind="as fvd_i3d, but unbiased at every n, so near zero it may be negative",
        kind="set",
    ),
    Metric(
        name="fid_lite0",
        unit="squared features",
        direction="lower",
        low=0,
        high=INF,
        formula=f"Frechet distance between pooled EfficientNet-Lite0 features (1280) of {_SAMPLED}; n counts frames",
        source="Heusel et al. 2017, on another network",
        needs=("lite0",),
        blind="any motion: frames are a bag; frames of one video are alike, so n overstates the sample",
        kind="set",
    ),
)

_PATHS = (
    _epe("epe_lk", "mean over frames"),
    _epe("epe_lk_median", "median over frames", "up to half of the frames may be anywhere"),
    _epe("epe_lk_early", "mean over the first third of frames 1..T-1"),
    _epe("epe_lk_middle", "mean over the second third"),
    _epe("epe_lk_late", "mean over the last third: what it exceeds early by is drift"),
    Metric(
        name="epe_lk_excess",
        unit="px@256",
        direction="lower",
        low=-DIAGONAL_256,
        high=DIAGONAL_256,
        formula="epe_lk of the answer - epe_lk of the reference video of the same case",
        source=_EPE_SOURCE,
        needs=("lk",),
        blind="below zero where the tracker does better on the answer than on the reference",
        worst=DIAGONAL_256,
        floored=False,
    ),
    _epe(
        "epe_points_lk",
        "at the points that the case fixes on an object, which only condition `masks` does; mean",
        wants="points, and the condition masks",
    ),
    _share(
        "delta_avg_lk",
        "share of asked-visible frames with the centre nearer than 1, 2, 4, 8, 16 px (lost: none); mean over these",
        _TAPVID,
        "how far off beyond 16 px; the tracker's own error weighs at 1 and 2 px: see the floor",
    ),
    _share(
        "aj_lk", "average Jaccard: TP / (asked visible + FP) at the same thresholds; mean", _TAPVID, "as delta_avg_lk"
    ),
    _share(
        "oa_lk",
        "share of frames on which the object is seen or hidden as asked",
        _TAPVID,
        "position; where nothing is asked to hide, any object that stays is right",
    ),
    _share(
        "survival_lk",
        "share of frames before the centre is first more than 50 px off, or lost, where it is asked to be seen",
        "PointOdyssey (Zheng et al. 2023), on object centres",
        "anything nearer than 50 px",
    ),
    _share(
        "miou_lk",
        "IoU of the tracked mask (that of frame 0, carried along) and the asked visible one, where there is one",
        "MagicBench's M_IoU, with another tracker",
        "deformation: the tracker carries a rigid shape; looks inside the outline",
        wants="masks on every frame",
    ),
    _share(
        "biou_lk",
        "IoU of the tracked and the asked box, both cut to the frame, on asked-visible frames",
        "MagicBench's B_IoU, with another tracker",
        "shape and looks inside the box",
        wants=_EXTENT,
    ),
    Metric(
        name="arrival_lk",
        unit="s",
        direction="lower",
        low=0,
        high=INF,
        formula="mean over 10 %, 20 %, ..., 90 % of the asked path of |time at which it is walked - asked time|; never "
        "= the whole duration",
        source="ours (flashbench/metrics/pace.py)",
        needs=("lk",),
        blind="distance from the path: only progress along it counts; paths under 8 px",
        worst=INF,
        wants="a path of 8 px",
    ),
    Metric(
        name="speed_ratio_lk",
        unit="asked = 1",
        direction="none",
        low=0,
        high=INF,
        formula="measured / asked speed over the stretch of the asked path that was walked: 1 is best, less is too "
        "slow, 0 still",
        source="ours (flashbench/metrics/pace.py)",
        needs=("lk",),
        blind="distance from the path; slow and fast stretches that cancel; paths under 8 px",
        worst=0,
        wants="a path of 8 px",
    ),
    Metric(
        name="dynamic_lk",
        unit="px@256/s",
        direction="none",
        low=0,
        high=INF,
        formula="mean speed of the objects' tracked points; stands beside the consistencies",
        source="ours; VBench's dynamic degree says yes or no instead",
        needs=("lk",),
        blind="whether the motion is the asked one: compare with the floor",
        worst=0,
    ),
)

_LOOKS = (
    Metric(
        name="text_lit",
        unit="cosine",
        direction="higher",
        low=-1,
        high=1,
        formula=f"mean over {_SAMPLED} of cos(frame, prompt) in a joint space of Lite0 frames and MiniLM sentences, "
        "trained on the train split",
        source="CLIPSIM's form (Wu et al. 2021) on a LiT-style head of ours",
        needs=("text_lit",),
        blind="motion; objects unlike the sprites that it was trained on",
        worst=-1,
        pictures="sprites",
    ),
    Metric(
        name="text_conse",
        unit="cosine",
        direction="higher",
        low=-1,
        high=1,
        formula=f"mean over {_SAMPLED} of cos(frame, prompt) in MiniLM's space; a frame is the mean of the "
        "embeddings of its ten likeliest ImageNet names (Lite0), weighted with their probabilities",
        source="ConSE (Norouzi et al. 2013)",
        needs=("text_conse",),
        blind="motion, counts and places; what ImageNet has no name for, people among it",
        worst=-1,
        pictures="photographs",
    ),
    _share(
        "subject_lite0",
        f"mean over {_SAMPLED} of (cos to frame 0 + cos to the one before)/2, clipped at 0, of Lite0 features pooled "
        "over the tracked object; lost = 0",
        _VBENCH,
        "a frozen video is best: read it beside dynamic_lk; a small object is pooled with what surrounds it",
        "lite0",
        wants=_EXTENT,
    ),
    _share(
        "background_lite0",
        "the same, pooled over what no tracked object covers",
        _VBENCH,
        "a frozen video is best; a camera that is asked to move lowers it too: see the floor",
        "lite0",
        wants=_EXTENT,
    ),
    _share(
        "flicker",
        "(255 - mean |f_t - f_t+1|) / 255 over all frames",
        "VBench (Huang et al. 2024), temporal flickering",
        "a frozen video is best; motion counts as flicker: see the floor",
        "pixels",
    ),
    _likeness("psnr", "dB", "higher", (0, PSNR_CAP), _PSNR, "Huynh-Thu and Ghanbari 2008", "pixels"),
    _likeness("ssim", "1", "higher", (-1, 1), "structural similarity to it, likewise", "Wang et al. 2004", "pixels"),
    _likeness("stlpips", "1", "lower", (0, INF), _STLPIPS, "Ghildyal and Liu 2022", "stlpips", worst=1),
)

_COST = (
    Metric(
        name="seconds",
        unit="s",
        direction="lower",
        low=0,
        high=INF,
        formula="time of generating one video, decoding included, on the machine of results.json; of the first time",
        source="ours (flashbench/runs/generate.py): wall clock round `generate` alone",
        needs=(),
        blind="loading of weights; cases without an answer",
        floored=False,
    ),
)

METRICS: Registry[Metric] = Registry({metric.name: metric for metric in (*_SETS, *_PATHS, *_LOOKS, *_COST)})


def derived(metric: Metric, name: str, extractor: str, network: str, **changes: Any) -> Metric:
    """The same definition on another network, which the formula names; not embedded."""
    formula = changes.pop("formula", f"as {metric.name}, on {network}")
    return dataclasses.replace(metric, name=name, needs=(extractor,), formula=formula, embedded=False, **changes)


def followed_rows(tracker: str) -> tuple[Metric, ...]:
    """The trajectory metrics on another tracker: `epe_lk_late` -> `epe_cotracker3_late`; not embedded."""
    rows = []
    for metric in _PATHS:
        name = re.sub(r"_lk(?=_|$)", f"_{tracker}", metric.name)
        formula = re.sub(r"_lk\b", f"_{tracker}", metric.formula)
        blind = re.sub(r"_lk\b", f"_{tracker}", metric.blind)
        rows.append(
            dataclasses.replace(metric, name=name, needs=(tracker,), formula=formula, blind=blind, embedded=False)
        )
    return tuple(rows)


def _reads(metric: Metric, pictures: Pictures | None) -> bool:
    return pictures is None or metric.pictures in (None, pictures)


def choose(names: Iterable[str] | None, pictures: Pictures | None = "sprites") -> tuple[Metric, ...]:
    """The named metrics in the catalogue's order; all embedded ones for None.

    Args:
        pictures: what the suite shows: metrics that cannot read it are left out, or refused where they are named;
            None: whatever it shows.

    Raises:
        InputError: an unknown name, with the nearest known one; no name at all.
    """
    if names is None:
        return tuple(m for m in METRICS.values() if m.embedded and _reads(m, pictures))
    wanted = list(names)
    for name in wanted:
        if name not in METRICS:
            mend = f"{meant(name, METRICS)}`flashbench list metrics` names them all"
            if BROKEN:
                mend += f" (broken plugins: {'; '.join(BROKEN.values())})"
            raise InputError("--metrics", f"there is no metric {name!r}", mend)
        only = METRICS[name].pictures
        if not _reads(METRICS[name], pictures):
            other = next((m.name for m in METRICS.values() if m.pictures == pictures), "another one")
            raise InputError(f"--metrics {name}", f"reads {only}, the suite shows {pictures}", f"take {other}")
    if not wanted:
        raise InputError("--metrics", "names no metric", "`flashbench list metrics` names them all")
    return tuple(METRICS[name] for name in METRICS if name in wanted)
