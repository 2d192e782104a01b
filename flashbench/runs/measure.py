"""Measuring: one file a (video, extractor), named by the hash of everything that made it.

What exists is not measured again. Answers are measured into the run folder; reference videos into a cache of the user,
so that they are measured once for all runs of a suite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashbench.cases.content import case_sha256
from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashbench.files.atomic import read_npz, sha256_arrays, sha256_json, write_npz
from flashbench.files.video import read_video
from flashbench.metrics.catalogue import Metric
from flashbench.metrics.plugin import PLUGINS
from flashbench.metrics.values import Sample, case_values
from flashbench.runs.extractors import Arrays, Extractor
from flashbench.runs.layout import RunFolder, read_timing
from flashbench.runs.results import CaseScore

Video = npt.NDArray[np.uint8]
_FEATURES = {"i3d": ("features", 0), "lite0": ("frames", 1)}


@dataclass(frozen=True)
class Plan:
    """What is scored, with what, and where measurements lie.

    Attributes:
        cache: folder of the reference videos' measurements.
    """

    run: RunFolder
    suite: Suite
    metrics: tuple[Metric, ...]
    extractors: Mapping[str, Extractor]
    cache: Path

    def needs(self, *, reference: bool = False, sets: bool = False) -> list[Extractor]:
        """The extractors that the metrics take: all, those measured on references too, or those of set metrics."""
        chosen = [m for m in self.metrics if (not reference or m.needs_reference) and (not sets or m.kind == "set")]
        names = {name for m in chosen for name in m.needs}
        return [e for name, e in self.extractors.items() if name in names]


class Measurer:
    """Measurements of the videos of one case."""

    def __init__(self, case: Case, reference: Video) -> None:
        self.case, self.reference = case, reference
        self.case_sha256 = case_sha256(case, reference)

    def measure(
        self, video: Video, extractors: Iterable[Extractor], folder: Path, known: Path | None = None
    ) -> dict[str, Arrays]:
        """Measurements of a video by extractor: read from `folder`, else made and written there.

        A video that equals its reference is not measured again: its measurement is taken over from the references'
        cache, `known`.
        """
        video_sha256, found = sha256_arrays(video), {}
        for extractor in extractors:
            key = sha256_json([video_sha256, self.case_sha256, extractor.fingerprint])
            path = folder / extractor.name / f"{key}.npz"
            other = known / extractor.name / path.name if known else path
            if not path.is_file() and other.is_file():
                write_npz(path, **_read(other, key))
            elif not path.is_file():
                write_npz(path, **extractor.measure(video, self.case, self.reference), key=np.array(key))
            found[extractor.name] = _read(path, key)
        return found


def _read(path: Path, key: str) -> dict[str, npt.NDArray[Any]]:
    arrays = read_npz(path)
    if str(arrays.get("key", "")) != key:
        raise InputError(path, "field key: it is another video's measurement", "delete it; it is measured again")
    return arrays


def score_case(plan: Plan, case_id: str) -> CaseScore:
    """One case: measured where that is still to be done, then its values, floors and features."""
    case, reference_video = plan.suite.load_case(case_id), plan.suite.load_reference(case_id)
    measurer = Measurer(case, reference_video)
    reference = Sample(case, measurer.measure(reference_video, plan.needs(reference=True), plan.cache))
    sample, seconds = None, None
    if plan.run.answered(case_id):
        video, seconds = read_answer(plan.run, case)
        measured = measurer.measure(video, plan.needs(), plan.run.measurements, plan.cache)
        sample = Sample(case, measured, seconds)
    else:  # no answer: black frames stand in where features of a set are compared
        measured = measurer.measure(np.zeros_like(reference_video), plan.needs(sets=True), plan.run.measurements)
    values, floors = case_values(sample, reference, plan.metrics)
    sets = [e.name for e in plan.needs(sets=True)]
    ours, theirs = ({name: _features(m, name) for name in sets} for m in (measured, reference.measured))
    keys = {name: (str(measured[name]["key"]), str(reference.measured[name]["key"])) for name in sets}
    return CaseScore(case_id, case.stratum, sample is None, values, floors, ours, theirs, keys)


def set_features(extractor: str) -> tuple[str, int]:
    """The array of an extractor's measurements that set metrics take, and its first row that counts."""
    return _FEATURES[extractor] if extractor in _FEATURES else PLUGINS[extractor].features


def _features(measured: Mapping[str, Mapping[str, npt.NDArray[Any]]], extractor: str) -> npt.NDArray[Any]:
    array, first = set_features(extractor)
    return measured[extractor][array][first:]


def read_answer(run: RunFolder, case: Case) -> tuple[Video, float]:
    """A case's video and the seconds it took, after checking that they are what was generated."""
    path, timing = run.video(case.id), run.timing(case.id)
    facts, video = read_timing(timing), read_video(path)
    if sha256_arrays(video) != facts.get("frames_sha256"):
        what = f"frames are not those that {timing.name} names (field frames_sha256)"
        raise InputError(path, what, "delete it and run `flashbench generate` again")
    return video, float(facts["seconds"])


def missing(run: RunFolder, case_ids: Sequence[str]) -> list[str]:
    """Cases with neither an answer nor a failure: still to be generated."""
    return [i for i in case_ids if not run.answered(i) and not run.failure(i).is_file()]
