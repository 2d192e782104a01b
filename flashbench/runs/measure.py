"""Measuring: one file a (video, extractor), named by the hash of everything that made it.

What exists is not measured again. Answers are measured into the run folder; reference videos into a cache of the user,
so that they are measured once for all runs of a suite. Of the embedded suite's references, what is slow to measure and
small to keep comes with the package (`scripts/prepare_references.py` makes and checks it): everybody compares with the
same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from flashbench.bits import Bits
from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashbench.files.atomic import npz_names, read_npz, sha256_arrays, sha256_json, write_npz
from flashbench.files.video import read_video
from flashbench.metrics.catalogue import Metric
from flashbench.metrics.plugin import PLUGINS
from flashbench.metrics.protocol import Extractor, Recalls
from flashbench.metrics.values import Sample, case_values
from flashbench.runs.layout import RunFolder, read_timing
from flashbench.runs.results import CaseScore

Video = npt.NDArray[np.uint8]
LARGE = 2**20  # bytes
SHIPPED = Path(__file__).with_name("references")
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


@dataclass(frozen=True)
class LeftThere:
    """Rows `first` to the last of an array in an npz, `rows` of them; they are read each time they are asked for."""

    path: Path
    name: str
    first: int
    rows: int

    def __len__(self) -> int:
        return self.rows

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        array = read_npz(self.path, self.name)[self.name][self.first :]
        return array if dtype is None else array.astype(dtype, copy=False)


class Stored(Mapping[str, npt.NDArray[Any]]):
    """The arrays of a measurement's file. Large ones are read each time they are asked for, and not kept.

    Masks of a video lie there as bits, NAME.bits with NAME.shape, and are `Bits` when they are read, since all of a
    large video's are more than memory need hold.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._kept = path, dict[str, npt.NDArray[Any]]()

    @staticmethod
    def write(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Writes the file of these arrays."""
        kept: dict[str, npt.NDArray[Any]] = {}
        for name, array in arrays.items():
            if isinstance(array, Bits) and len(array.packed) > LARGE // 8:
                kept |= {f"{name}.bits": array.packed, f"{name}.shape": np.array(array.shape)}
            else:
                kept[name] = np.asarray(array)
        write_npz(path, **kept)

    @cached_property
    def _names(self) -> list[str]:
        return npz_names(self._path)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        if name in self._kept:
            return self._kept[name]
        if f"{name}.bits" in self._names:
            shape = read_npz(self._path, f"{name}.shape")[f"{name}.shape"]
            bits = read_npz(self._path, f"{name}.bits")[f"{name}.bits"]
            return cast("npt.NDArray[Any]", Bits(tuple(shape.tolist()), bits))
        array = read_npz(self._path, name)[name]
        if array.nbytes <= LARGE:
            self._kept[name] = array
        return array

    def left_there(self, name: str, first: int) -> npt.NDArray[Any]:
        """Rows `first` and later of an array, as something that NumPy reads when it makes an array of it."""
        return cast("npt.NDArray[Any]", LeftThere(self._path, name, first, len(self[name]) - first))

    def __iter__(self) -> Iterator[str]:
        return (name.removesuffix(".bits") for name in self._names if not name.endswith(".shape"))

    def __len__(self) -> int:
        return sum(1 for _ in self)


Measured = Mapping[str, Stored]  # by extractor


class Measurer:
    """Measurements of the videos of one case."""

    def __init__(self, case: Case, reference: Video) -> None:
        self.case, self.reference = case, reference
        self.case_sha256 = case.sha256(reference)

    def measure(
        self, video: Video, extractors: Iterable[Extractor], folder: Path, known: Path | None = None
    ) -> Measured:
        """Measurements of a video by extractor: read from `folder`, else made and written there.

        What `known` has is taken over from there: the references' cache, since an answer may equal its reference, or
        what is shipped.
        """
        video_sha256 = sha256_arrays(video)
        found: dict[str, Stored] = {}
        for extractor in extractors:
            key = sha256_json([video_sha256, self.case_sha256, extractor.fingerprint])
            path = folder / extractor.name / f"{key}.npz"
            other = known / extractor.name / path.name if known else path
            if not path.is_file() and other.is_file():
                _read(other, key)
                write_npz(path, **read_npz(other))
            elif not path.is_file():
                Stored.write(path, {**extractor.measure(video, self.case, self.reference), "key": np.array(key)})
            found[extractor.name] = _read(path, key)
            if isinstance(extractor, Recalls):
                extractor.recall(video, found[extractor.name])
        return found


def _read(path: Path, key: str) -> Stored:
    arrays = Stored(path)
    if str(arrays["key"]) != key:
        raise InputError(path, "field key: it is another video's measurement", "delete it; it is measured again")
    return arrays


def score_case(plan: Plan, case_id: str) -> CaseScore:
    """One case: measured where that is still to be done, then its values, floors and features."""
    case, answered = plan.suite.load_case(case_id), plan.run.answered(case_id)
    theirs_measured, measured, seconds = _measured(plan, case, answered)
    reference = Sample(case, theirs_measured)
    sample = Sample(case, measured, seconds) if answered else None
    values, floors = case_values(sample, reference, plan.metrics)
    sets = [e.name for e in plan.needs(sets=True)]
    ours, theirs = (
        {name: m[name].left_there(*set_features(name)) for name in sets} for m in (measured, theirs_measured)
    )
    keys = {name: (str(measured[name]["key"]), str(theirs_measured[name]["key"])) for name in sets}
    return CaseScore(case_id, case.stratum, sample is None, values, floors, ours, theirs, keys)


def measure_case(plan: Plan, case_id: str) -> None:
    """One case, measured where that is still to be done."""
    _measured(plan, plan.suite.load_case(case_id), plan.run.answered(case_id))


def _measured(plan: Plan, case: Case, answered: bool) -> tuple[Measured, Measured, float | None]:
    """Measurements of the reference and of the answer, and the seconds that it took. Its videos end with it."""
    video = plan.suite.load_reference(case.id)
    measurer = Measurer(case, video)
    reference = measurer.measure(video, plan.needs(reference=True), plan.cache, SHIPPED)
    if not answered:  # black frames stand in where features of a set are compared
        return reference, measurer.measure(np.zeros_like(video), plan.needs(sets=True), plan.run.measurements), None
    answer, seconds = read_answer(plan.run, case)
    return reference, measurer.measure(answer, plan.needs(), plan.run.measurements, plan.cache), seconds


def set_features(extractor: str) -> tuple[str, int]:
    """The array of an extractor's measurements that set metrics take, and its first row that counts."""
    return _FEATURES[extractor] if extractor in _FEATURES else PLUGINS[extractor].features


def read_answer(run: RunFolder, case: Case) -> tuple[Video, float]:
    """A case's video and the seconds it took, after checking that they are what was generated.

    Returns:
        uint8 `[T, H, W, 3]` RGB; seconds, at least 0.

    Raises:
        InputError: the video or its timing is missing or damaged, or the frames are not those that were timed.
    """
    path, timing = run.video(case.id), run.timing(case.id)
    facts, video = read_timing(timing), read_video(path)
    if sha256_arrays(video) != facts.get("frames_sha256"):
        what = f"frames are not those that {timing.name} names (field frames_sha256)"
        raise InputError(path, what, "delete it and run `flashbench generate` again")
    return video, float(facts["seconds"])


def missing(run: RunFolder, case_ids: Sequence[str]) -> list[str]:
    """Cases with neither an answer nor a failure: still to be generated."""
    return [i for i in case_ids if not run.answered(i) and not run.failure(i).is_file()]
