"""Scoring 48 videos of 121 frames with all embedded metrics, against a straightforward composition of known pieces.

    python benchmarks/composition.py [--cases 48]

The same videos (the `cutout` baseline's answers beside their references, lossless files of one suite folder), the same
networks and the same tracker on both sides. The composition is what one writes from the metrics' own papers and
packages: a loop a metric, each of which decodes the videos it needs, batch 1, scikit-image's PSNR and SSIM, SciPy's
matrix square root, all cores to every call. Where the field has one tool for several metrics they share its pass: all
errors of a point tracker, both overlaps of a segmenter. The last row lets points, overlaps and motion be read off one
pass of the tracker, which no set of the field's packages does. Ours is `flashbench score`, intervals, floors, files and
the start of the process included, with references measured as well: the mean of a run before the composition and one
after it, since the machine's own speed moves. The composition's start is not counted.

The floor is what no program can go below on this machine with these networks in float32: their arithmetic (counted by
torch) at the rate of a large matrix product on all cores, the fastest seen beside it, and decoding every video once. It
leaves the tracker out, which is no network, and everything that is not arithmetic.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from flops import counter, matrix_rate
from reporting import BIN, measured, only_weights, row
from scipy import linalg
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from flashbench.backbones.i3d import I3D
from flashbench.backbones.lite0 import Lite0, pooled_over
from flashbench.backbones.stlpips import STLPIPS
from flashbench.backbones.text_lit import TextLiT
from flashbench.cases.folder import read_suite
from flashbench.cases.schema import Case
from flashbench.files.video import read_video
from flashbench.metrics import mmd, pace, regions, tracks
from flashbench.metrics.consistency import dynamic_degree, subject_consistency
from flashbench.runs.extractors import WINDOW, sampled_frames, window_starts
from flashbench.runs.layout import RunFolder
from flashbench.tracking.lk import LKTracker

Video = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


class Composition:
    """A loop a metric. `answers` and `references` are files, one a case."""

    def __init__(self, cases: list[Case], answers: list[Path], references: list[Path]) -> None:
        self.cases, self.answers, self.references = cases, answers, references
        self.i3d, self.lite0, self.stlpips, self.text = I3D.load(), Lite0.load(), STLPIPS.load(), TextLiT.load()

    def clips(self, files: list[Path]) -> Floats:
        """I3D logits `[N * 3, 400]`, a window at a time."""
        rows = []
        for file in files:
            video = read_video(file)
            starts, stride = window_starts(len(video))
            for s in starts:
                clip = torch.from_numpy(video[s : s + WINDOW * stride : stride].copy())[None]
                rows.append(self.i3d.features(clip).numpy()[0])
        return np.array(rows, np.float64)

    def fvd_i3d(self) -> float:
        return frechet(self.clips(self.answers), self.clips(self.references))

    def mmd_i3d(self) -> float:
        return mmd.mmd2(self.clips(self.answers), self.clips(self.references))

    def frames(self, files: list[Path]) -> Floats:
        """Lite0 features `[N * 24, 1280]`, a frame at a time."""
        rows = []
        for file in files:
            video = read_video(file)
            for t in sampled_frames(len(video))[1:]:
                rows.append(self.lite0.pooled(torch.from_numpy(video[t : t + 1])).numpy()[0])
        return np.array(rows, np.float64)

    def fid_lite0(self) -> float:
        return frechet(self.frames(self.answers), self.frames(self.references))

    def text_lit(self) -> float:
        values = []
        for case, file in zip(self.cases, self.answers, strict=True):
            video, text = read_video(file), self.text.texts([case.prompt])[0]
            for t in sampled_frames(len(video))[1:]:
                image = self.text.images(self.lite0.maps(torch.from_numpy(video[t : t + 1])))[0]
                values.append(float(torch.cosine_similarity(image, text, dim=0)))
        return float(np.mean(values))

    def consistency(self, background: bool) -> float:
        """Of the objects, or of what they leave of the frame: a pass of the tracker, then of the network."""
        values, tracker = [], LKTracker()
        for case, file in zip(self.cases, self.answers, strict=True):
            video = read_video(file)
            masks, index = np.asarray(tracker.track(video, case).masks), sampled_frames(len(video))
            maps = torch.cat([self.lite0.maps(torch.from_numpy(video[t : t + 1])) for t in index])
            wanted = [~masks.any(0)] if background else list(masks)
            for mask in wanted:
                values.append(subject_consistency(pooled_over(maps, torch.from_numpy(mask[index])).numpy()))
        return float(np.mean(values))

    def subject_lite0(self) -> float:
        return self.consistency(background=False)

    def background_lite0(self) -> float:
        return self.consistency(background=True)

    def flicker(self) -> float:
        values = []
        for file in self.answers:
            video = read_video(file).astype(np.float32)
            values.append(1 - float(np.abs(np.diff(video, axis=0)).mean()) / 255)
        return float(np.mean(values))

    def pairs(self, of: Callable[[Video, Video], float]) -> float:
        values = []
        for ours, theirs in zip(self.answers, self.references, strict=True):
            a, b = read_video(ours), read_video(theirs)
            values.append(np.mean([of(x, y) for x, y in zip(a[1:], b[1:], strict=True)]))
        return float(np.mean(values))

    def psnr(self) -> float:
        return self.pairs(lambda a, b: 100.0 if np.array_equal(a, b) else peak_signal_noise_ratio(b, a))

    def ssim(self) -> float:
        how: dict[str, Any] = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        return self.pairs(lambda a, b: structural_similarity(a, b, channel_axis=2, data_range=255, **how))

    def stlpips_(self) -> float:
        values = []
        for ours, theirs in zip(self.answers, self.references, strict=True):
            a, b = read_video(ours), read_video(theirs)
            for t in sampled_frames(len(a))[1:]:
                pair = (torch.from_numpy(v[t : t + 1]) for v in (a, b))
                values.append(float(self.stlpips.distances(*pair)))
        return float(np.mean(values))

    def tracked(self, of: Callable[[Case, Any], float]) -> float:
        """A pass of the tracker over the answers and over the references, whose values are the floors."""
        values = []
        for files in (self.answers, self.references):
            for case, file in zip(self.cases, files, strict=True):
                values.append(of(case, LKTracker().track(read_video(file), case)))
        return float(np.mean(values))

    def points(self) -> float:
        """Errors of the tracks and their pace: what a point tracker is run for."""

        def of(case: Case, found: Any) -> float:
            asked = tracks.to_256(np.stack([o.path for o in case.objects]), case.size)
            there = np.stack([o.visible for o in case.objects])
            where = tracks.to_256(found.centres, case.size)
            for i in range(len(case.objects)):
                query = np.zeros(1, int)
                tracks.tapvid(where[i : i + 1], found.visible[i : i + 1], asked[i : i + 1], there[i : i + 1], query)
            pace.arrival_error(where, found.visible, asked, there, case.fps)
            pace.speed_ratio(where, found.visible, asked, there)
            errors = tracks.epe(where, found.visible, asked, there, cap=tracks.DIAGONAL_256)
            return float(np.nanmean(errors.mean))

        return self.tracked(of)

    def iou(self) -> float:
        """Overlap of masks and boxes: what a segmenter is run for."""

        def of(case: Case, found: Any) -> float:
            values = []
            for i, o in enumerate(case.objects):
                values.append(np.nanmean(regions.box_iou(found.boxes[i], o.boxes)))
                if o.masks is not None and len(o.masks) == case.frames:
                    values.append(np.nanmean(regions.mask_iou(found.masks[i], o.masks)))
            return float(np.mean(values))

        return self.tracked(of)

    def dynamic(self) -> float:
        """How much moves: VBench's pass of its own."""

        def of(case: Case, found: Any) -> float:
            rows = zip(found.points, found.point_visible, strict=True)
            return float(np.mean([dynamic_degree(tracks.to_256(p, case.size), v, case.fps) for p, v in rows]))

        return self.tracked(of)

    LOOPS = (
        "fvd_i3d", "mmd_i3d", "fid_lite0", "text_lit", "subject_lite0", "background_lite0", "flicker", "psnr", "ssim",
        "stlpips_", "points", "iou", "dynamic",
    )  # fmt: skip


def frechet(x: Floats, y: Floats) -> float:
    """pytorch-fid's: covariances and SciPy's square root."""
    sx, sy = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(sx @ sy).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(sx) + np.trace(sy) - 2 * np.trace(root))


def arithmetic(c: Composition) -> float:
    """Floating-point operations of the networks for one answer and its reference."""
    video = read_video(c.references[0])
    starts, stride = window_starts(len(video))
    windows = np.stack([video[s : s + WINDOW * stride : stride] for s in starts])
    sampled = torch.from_numpy(video[sampled_frames(len(video))])
    with counter() as both:
        c.i3d.features(torch.from_numpy(windows))
        c.text.images(c.lite0.maps(sampled)[1:])
        c.text.texts([c.cases[0].prompt])
    with counter() as answer:
        c.stlpips.distances(sampled[1:], sampled[1:])
    return float(2 * both.get_total_flops() + answer.get_total_flops())


def decoding(c: Composition) -> float:
    """Seconds to decode all videos on one core."""
    start = time.perf_counter()
    for file in (*c.answers, *c.references):
        read_video(file)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=48)
    count = parser.parse_args().cases
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Other scenes than the standard suite's: no measurement of their references is shipped.
        build = ["build", "sprites-v1", "--cases", str(count), "--seed", "5", "-o", folder / "suite"]
        measured([BIN / "flashbench", *build])
        asked = ["--model", "cutout", "--suite", folder / "suite", "-o", folder / "run"]
        measured([BIN / "flashbench", "generate", *asked])
        shutil.copytree(folder / "run", folder / "again")
        rates, ours = [matrix_rate()], []
        ours.append(measured([BIN / "flashbench", "score", folder / "run"], env=only_weights(folder / "before")))
        suite, run = read_suite(folder / "suite"), RunFolder(folder / "run")
        cases = [suite.load_case(i) for i in suite.case_ids]
        answers = [run.video(i) for i in suite.case_ids]
        references = [folder / "suite" / "videos" / f"{i}.mkv" for i in suite.case_ids]
        composition, spent = Composition(cases, answers, references), dict[str, float]()
        work, decoded = arithmetic(composition), decoding(composition)
        for loop in Composition.LOOPS:
            start = time.perf_counter()
            value = getattr(composition, loop)()
            spent[loop] = time.perf_counter() - start
            print(f"{loop.rstrip('_')}: {value:.4f}, {spent[loop]:.1f} s", flush=True)
        rates.append(matrix_rate())
        least = count * work / max(rates) + decoded / torch.get_num_threads()
        del composition  # its networks are not in the memory of what is measured
        ours.append(measured([BIN / "flashbench", "score", folder / "again"], env=only_weights(folder / "after")))
    seconds, total = sum(usage.seconds for usage in ours) / len(ours), sum(spent.values())
    row(f"flashbench score, {count} videos and their references", seconds, "s")
    row(f"the composition, {count} videos and their references", total, "s")
    row("the floor: networks' arithmetic at the matrix rate, and decoding", least, "s")
    row("flashbench score over the floor", seconds / least, "x", "< 1.5" if count == 48 else "")
    row("times faster", total / seconds, "x", ">= 3" if count == 48 else "")
    row(
        "times faster, were points, overlaps and motion read off one pass",
        (total - spent["iou"] - spent["dynamic"]) / seconds,
        "x",
    )


if __name__ == "__main__":
    main()
