"""Extractors: a video in, arrays out. What is measured here is kept in files, and everything after it is NumPy.

An extractor's fingerprint is that of its network or tracker plus the version of the protocol in this file. Networks are
loaded when the first video needs them, and shared by all threads; each works on one video at a time, in batches that do
not depend on what else is measured, so that the number of workers does not change a bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case
from flashbench.errors import InputError
from flashbench.metrics.plugin import PLUGINS
from flashbench.metrics.protocol import Arrays, Extractor, Video

if TYPE_CHECKING:
    import torch

    from flashbench.tracking.protocol import ObjectTracks

T = TypeVar("T")

WINDOW, WINDOWS = 16, 3
SAMPLED_FRAMES = 24


class Lazy(Generic[T]):
    """Makes a value at the first call, once for all threads."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._lock = make, threading.Lock()

    def __call__(self) -> T:
        with self._lock:
            if not hasattr(self, "_value"):
                self._value = self._make()
            return self._value


class LastVideo(threading.local, Generic[T]):
    """Remembers, in each thread, what was made of the last video: extractors that need the same share it."""

    _held: tuple[Video, T] | None = None

    def get(self, video: Video, make: Callable[[], T]) -> T:
        """The value for `video`, made by `make` unless it is that of the call before."""
        if self._held is None or self._held[0] is not video:
            self._held = None  # what belongs to the video before is freed first: masks of a large one are many
            self.put(video, make())
        assert self._held is not None
        return self._held[1]

    def put(self, video: Video, value: T) -> None:
        """Remembers what was made of `video` by the way."""
        self._held = video, value


def window_starts(frames: int) -> tuple[list[int], int]:
    """First frames of the 16-frame windows, and their stride: beginning, middle and end of frames 1 .. T-1.

    The stride is the largest at which three windows do not overlap, at least 1: 2 for T = 121 (starts 1, 45, 90).

    Args:
        frames: T, frame 0 included.

    Returns:
        Three rising frame numbers, and the stride in frames.

    Raises:
        InputError: T is below 17.
    """
    stride = max(1, (frames - 1) // (WINDOW * WINDOWS))
    last = frames - 1 - (WINDOW - 1) * stride
    if last < 1:
        mend = f"give at least {WINDOW + 1} frames, or leave fvd_i3d and mmd_i3d out with --metrics"
        raise InputError("i3d", f"videos of {frames} frames are too short", mend)
    return [1, (1 + last) // 2, last], stride


def sampled_frames(frames: int) -> npt.NDArray[np.int64]:
    """Frame numbers at which single frames are looked at: 0, then 1, 1 + s, 1 + 2s, ..., s = max(1, (T-1) // 24)."""
    stride = max(1, (frames - 1) // SAMPLED_FRAMES)
    return np.concatenate([[0], np.arange(1, frames, stride)])


def _tensor(frames: npt.NDArray[Any]) -> torch.Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(frames))


class I3DExtractor:
    """`features` `[3, 400]`: logits of the three windows of `window_starts`."""

    name = "i3d"

    def __init__(self) -> None:
        from flashbench.backbones.i3d import I3D

        self.fingerprint = f"{I3D.fingerprint}+windows3x16-1"
        self._net = Lazy(I3D.load)

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        starts, stride = window_starts(len(video))
        clips = np.stack([video[s : s + WINDOW * stride : stride] for s in starts])
        return {"features": self._net().features(_tensor(clips)).numpy()}


class Shared:
    """What several extractors take from one video: its tracks, and the Lite0 maps of its sampled frames."""

    def __init__(self) -> None:
        from flashbench.backbones.lite0 import Lite0
        from flashbench.tracking.lk import LKTracker

        self.tracker = LKTracker()
        self.lite0_fingerprint = Lite0.fingerprint
        self.lite0 = Lazy(Lite0.load)
        self._recalled: LastVideo[Mapping[str, npt.NDArray[Any]]] = LastVideo()
        self._regions: LastVideo[npt.NDArray[np.bool_]] = LastVideo()
        self._maps: LastVideo[torch.Tensor] = LastVideo()

    def tracks(self, video: Video, case: Case) -> ObjectTracks:
        """The objects on all frames. Of their masks those of the sampled frames alone are remembered."""
        found = self.tracker.track(video, case)
        self._regions.put(video, found.masks[:, sampled_frames(len(video))])
        return found

    def regions(self, video: Video, case: Case) -> npt.NDArray[np.bool_]:
        """Masks `[N, 1 + F, H, W]` of the objects on the sampled frames."""
        return self._regions.get(video, lambda: self._masks(video, case, sampled_frames(len(video))))

    def recall(self, video: Video, measured: Mapping[str, npt.NDArray[Any]]) -> None:
        """What was tracked of `video` before: its masks are read if they are asked for."""
        self._recalled.put(video, measured)

    def _masks(self, video: Video, case: Case, frames: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        measured = self._recalled.get(video, dict)
        return measured["masks"][:, frames] if measured else self.tracker.track(video, case).masks[:, frames]

    def maps(self, video: Video) -> torch.Tensor:
        """float32 `[1 + F, 1280, 7, 7]` of `sampled_frames`."""
        frames = video[sampled_frames(len(video))]
        return self._maps.get(video, lambda: self.lite0().maps(_tensor(frames)))


class LKExtractor:
    """`centres` `[N, T, 2]`, `visible` `[N, T]`, `masks` `[N, T, H, W]`, `boxes` `[N, T, 4]`, `points` `[N, P, T, 2]`,
    `point_visible` `[N, P, T]` of the case's objects, px of the frame."""

    name = "lk"

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.fingerprint = f"{shared.tracker.fingerprint}+1"

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        found = self.shared.tracks(video, case)
        # Bits are read like the array that they stand for, a part at a time.
        return {name: cast("npt.NDArray[Any]", array) for name, array in found._asdict().items()}

    def recall(self, video: Video, measured: Mapping[str, npt.NDArray[Any]]) -> None:
        """See `Recalls`."""
        self.shared.recall(video, measured)


class Lite0Extractor:
    """Features of the sampled frames: whole `frames` `[1 + F, 1280]`, tracked objects `subject` `[N, 1 + F, 1280]`, the
    rest `background` `[1 + F, 1280]`; `index` `[1 + F]` are the frames' numbers. An empty region has a zero row."""

    name = "lite0"

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.fingerprint = f"{shared.lite0_fingerprint}+{shared.tracker.fingerprint}+frames24-1"

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        from flashbench.backbones.lite0 import pooled_over

        index, maps = sampled_frames(len(video)), self.shared.maps(video)
        masks = self.shared.regions(video, case)
        rest = np.logical_not(masks.any(axis=0))
        return {
            "index": index,
            "frames": maps.mean((2, 3)).numpy(),
            "subject": np.stack([pooled_over(maps, _tensor(m)).numpy() for m in masks]),
            "background": pooled_over(maps, _tensor(rest)).numpy(),
        }


class PixelsExtractor:
    """`psnr`, `ssim` `[T - 1]` of frames 1 .. T-1 against the reference, `flicker` `[]` of the whole video."""

    name, fingerprint = "pixels", "pixels-1"

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        from flashbench.metrics.consistency import flicker
        from flashbench.metrics.pixels import psnr, ssim

        pair = video[1:], reference[1:]
        return {"psnr": psnr(*pair), "ssim": ssim(*pair), "flicker": np.array(flicker(video))}


class STLPIPSExtractor:
    """`distances` `[F]` of the sampled frames after frame 0 to those of the reference."""

    name = "stlpips"

    def __init__(self) -> None:
        from flashbench.backbones.stlpips import STLPIPS

        self.fingerprint = f"{STLPIPS.fingerprint}+frames24-1"
        self._net = Lazy(STLPIPS.load)

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        index = sampled_frames(len(video))[1:]
        return {"distances": self._net().distances(_tensor(video[index]), _tensor(reference[index])).numpy()}


class TextLiTExtractor:
    """`frames` `[F, D]`: sampled frames after frame 0 in the joint space; `text` `[D]`: the prompt there."""

    name = "text_lit"

    def __init__(self, shared: Shared) -> None:
        from flashbench.backbones.text_lit import TextLiT

        self.shared = shared
        self.fingerprint = f"{TextLiT.fingerprint}+frames24-1"
        self._net = Lazy(TextLiT.load)

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        frames = self._net().images(self.shared.maps(video)[1:])
        return {"frames": frames.numpy(), "text": self._net().texts([case.prompt])[0].numpy()}


class TextConSEExtractor:
    """As `TextLiTExtractor`, in MiniLM's space by way of ImageNet's names."""

    name = "text_conse"

    def __init__(self, shared: Shared) -> None:
        from flashbench.backbones.conse import ConSE

        self.shared = shared
        self.fingerprint = f"{ConSE.fingerprint()}+frames24-1"
        self._net = Lazy(lambda: ConSE.load(shared.lite0()))

    def measure(self, video: Video, case: Case, reference: Video) -> Arrays:
        frames = self._net().images(self.shared.maps(video)[1:])
        return {"frames": frames.numpy(), "text": self._net().texts([case.prompt])[0].numpy()}


def check_measurable(names: Iterable[str], frames: int, size: tuple[int, int]) -> None:
    """Refuses videos that are too short or too small for one of the named extractors, before anything is made."""
    wanted = set(names)
    if "i3d" in wanted:
        window_starts(frames)
    if "pixels" in wanted:
        from flashbench.metrics.pixels import SSIM_LEAST

        if min(size) < SSIM_LEAST:
            what = f"frames of {size[1]}x{size[0]} px are too small for SSIM's window"
            mend = f"give at least {SSIM_LEAST} px a side, or leave psnr, ssim and flicker out with --metrics"
            raise InputError("pixels", what, mend)


def extractors(names: Iterable[str], weights: Mapping[str, str] | None = None) -> dict[str, Extractor]:
    """The named extractors, in the order in which they share work best. No network is loaded yet.

    Args:
        names: of the catalogue's `needs`.
        weights: extractor of a plugin -> path or hub id of its weights.

    Returns:
        Extractors by name; names that nobody knows are left out (`catalogue.choose` refuses their metrics).

    Raises:
        InputError: weights for an extractor that takes none or is not among the names.
    """
    wanted = set(names)
    shared = Lazy(Shared)
    makers: dict[str, Callable[[], Extractor]] = {
        "pixels": PixelsExtractor,
        "lk": lambda: LKExtractor(shared()),
        "lite0": lambda: Lite0Extractor(shared()),
        "text_lit": lambda: TextLiTExtractor(shared()),
        "text_conse": lambda: TextConSEExtractor(shared()),
        "stlpips": STLPIPSExtractor,
        "i3d": I3DExtractor,
    }
    weights = dict(weights or {})
    for name in weights:
        if name not in PLUGINS or name not in wanted:
            mend = (
                f"choose among {', '.join(sorted(wanted & set(PLUGINS)))}" if wanted & set(PLUGINS) else "leave it out"
            )
            raise InputError("--weights", f"no metric that is asked for takes weights named {name!r}", mend)
    made = {name: make() for name, make in makers.items() if name in wanted}
    return made | {n: plugin.make(weights.get(n)) for n, plugin in PLUGINS.items() if n in wanted}
