"""How far a tracker is from the truth, on videos whose truth is known to the pixel: by motion, size, occlusion, blur.

Counted are frames after frame 0 on which at least a pixel of the object is seen. Lengths are at the 256 scale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case, Suite
from flashbench.markdown import table_lines
from flashbench.metrics.protocol import Extractor
from flashbench.metrics.regions import mask_iou
from flashbench.metrics.tracks import to_256
from flashbench.runs.layout import RunFolder
from flashbench.runs.measure import Measurer, read_answer

Floats = npt.NDArray[np.float64]

Tables = dict[str, list[str]]
OFF = 8.0  # px@256: an object this far from its place is taken for lost by whoever looks at the video
SIZES = (32.0, 48.0)  # px@256, side of a square as large as the object on frame 0
IN_VIEW = (0.5, 0.95)  # shares of an object's points


class Seen(NamedTuple):
    """One object on F frames.

    Attributes:
        error: `[F]` px@256, of its centre; lost: bool `[F]`: said to be invisible; overlap: `[F]`, IoU of its masks.
        in_view: `[F]`, share of the object's points that are in view; side: px@256, of a square as large as it is.
    """

    error: Floats
    lost: npt.NDArray[np.bool_]
    overlap: Floats
    in_view: Floats
    side: float

    def where(self, chosen: npt.NDArray[np.bool_]) -> Seen:
        """On the `chosen` `[F]` of its frames."""
        return Seen(self.error[chosen], self.lost[chosen], self.overlap[chosen], self.in_view[chosen], self.side)


def seen_of(case: Case, found: Mapping[str, npt.NDArray[Any]], n: int) -> Seen:
    """How well object n of a case with masks and points was found, by a tracker's `centres`, `visible`, `masks`."""
    asked = case.objects[n]
    if asked.masks is None or asked.point_visible is None:
        raise ValueError(f"case {case.id!r}: object {asked.name!r} has no masks or no points")
    at = np.flatnonzero(asked.visible)
    at = at[at > 0]
    error = np.linalg.norm(to_256(found["centres"][n], case.size) - to_256(asked.path, case.size), axis=-1)[at]
    overlap = mask_iou(found["masks"][n, at], asked.masks[at])
    side = float(np.sqrt(asked.masks[0].sum() * (256 * 256) / np.prod(case.size)))
    return Seen(error, ~found["visible"][n, at], overlap, asked.point_visible[:, at].mean(0), side)


def seen_in(run: RunFolder, suite: Suite, tracker: Extractor, cache: Path) -> Iterator[tuple[str, Seen]]:
    """Motion family and quality of every object in a run whose videos show the references' motion.

    Measurements are taken from the run's folder or the references' `cache`; what is missing there is tracked.
    """
    for case_id in suite.case_ids:
        case = suite.load_case(case_id)
        video, _ = read_answer(run, case)
        measurer = Measurer(case, suite.load_reference(case_id))
        found = measurer.measure(video, [tracker], run.measurements, cache)[tracker.name]
        for n, family in enumerate(case.meta["families"]):
            yield family, seen_of(case, found, n)


def grouped(objects: Sequence[tuple[str, Seen]]) -> dict[str, list[Seen]]:
    """Objects by motion family, by size on frame 0 and by how much of them is in view; at last all."""
    groups: dict[str, list[Seen]] = {f"motion: {name}": [] for name in sorted({family for family, _ in objects})}
    for family, seen in objects:
        groups[f"motion: {family}"].append(seen)
    for name, low, high in _bins("size: {} px", (0, *SIZES, np.inf)):
        groups[name] = [seen for _, seen in objects if low <= seen.side < high]
    for name, low, high in _bins("in view: {}", (0, *IN_VIEW, np.inf), percent=True):
        groups[name] = [seen.where((seen.in_view >= low) & (seen.in_view < high)) for _, seen in objects]
    groups["all"] = [seen for _, seen in objects]
    return {name: held for name, members in groups.items() if (held := [s for s in members if len(s.error)])}


def _bins(pattern: str, edges: Sequence[float], percent: bool = False) -> Iterator[tuple[str, float, float]]:
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        a, b = (f"{100 * e:.0f} %" if percent else f"{e:g}" for e in (low, high))
        name = f"below {b}" if low == 0 else f"{a} and more" if high == np.inf else f"{a} to {b}"
        yield pattern.format(name), low, high


class Summary(NamedTuple):
    """A group of objects, pooled over their frames.

    Attributes:
        objects, frames: how many; median, mean: px@256, error of the centre; off: share of frames on which it is more
            than OFF px, or the object is lost; lost: share on which it is said to be invisible; overlap: mean IoU.
    """

    objects: int
    frames: int
    median: float
    mean: float
    off: float
    lost: float
    overlap: float


def summary(objects: Sequence[Seen]) -> Summary:
    """Of at least one object."""
    error, lost, overlap = (np.concatenate([s[k] for s in objects]) for k in range(3))
    off = float(((error > OFF) | lost).mean())
    middle, mean = float(np.median(error)), float(error.mean())
    return Summary(len(objects), len(error), middle, mean, off, float(lost.mean()), float(overlap.mean()))


def lines(groups: Iterable[tuple[str, Sequence[Seen]]]) -> list[str]:
    """A table in Markdown, one line a group."""
    header = ["frames", "objects", "error, median", "error, mean", f"> {OFF:g} px or lost", "lost", "mask IoU"]
    rows = []
    for name, objects in groups:
        s = summary(objects)
        shares = [f"{100 * share:.1f} %" for share in (s.off, s.lost)]
        rows.append([name, str(s.objects), f"{s.median:.2f}", f"{s.mean:.2f}", *shares, f"{s.overlap:.3f}"])
    return table_lines(header, rows)


def tables(root: Path, suite: Suite, tracker: Extractor, cache: Path, damage: str, levels: Sequence[float]) -> Tables:
    """Two tables by title: of the references by group, and of the references damaged at rising strength.

    Args:
        root: holds the runs `reference` and `DAMAGE@1` to `DAMAGE@5`, of which those that are there are taken.
        damage: a corruption that moves nothing; levels: of its strengths.
        cache: folder of reference measurements.

    Returns:
        Nothing for a suite whose objects' truth or motion family is not known.
    """
    first = suite.load_case(suite.case_ids[0])
    if "families" not in first.meta or any(o.masks is None or o.point_visible is None for o in first.objects):
        return {}
    sharp = list(seen_in(RunFolder(root / "reference"), suite, tracker, cache))
    rows = [("as they are", [seen for _, seen in sharp])]
    for strength, level in enumerate(levels, start=1):
        if (run := root / f"{damage}@{strength}").is_dir():
            rows.append((f"{damage} {level:g}", [seen for _, seen in seen_in(RunFolder(run), suite, tracker, cache)]))
    name = tracker.name
    return {
        f"The tracker `{name}` against the truth": lines(grouped(sharp).items()),
        f"The tracker `{name}` on frames with {damage}": lines(rows),
    }
