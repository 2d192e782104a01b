"""Videos on disk and in memory: `uint8 [T, H, W, 3]` RGB.

Read: mp4, mkv, webm, gif, and folders of PNGs in the order of their names. Written: FFV1 in Matroska, lossless RGB
with slice checksums. Decoding uses one thread and swscale's bit-exact path, so that the same file and the same
decoder version give the same pixels on every CPU. Untagged YUV is taken as BT.601, as FFmpeg does.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import av.logging
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from av.video.stream import VideoStream

from flashbench.errors import InputError
from flashbench.files.atomic import StrPath, write_bytes
from flashbench.files.png import AGAIN, MAX_PIXELS, check_pixels, png_size, read_png
from flashbench.files.truncation import cut_short

FORMATS = {".mp4": "mp4", ".mkv": "matroska", ".webm": "matroska", ".gif": "gif"}
KINDS = ", ".join(name[1:] for name in FORMATS) + " or a folder of PNGs"
_SWS = int(Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT)
HDR = {16: "PQ", 18: "HLG"}  # transfer characteristics, ITU-T H.273

# FFV1 reports a failed slice checksum only as a log line, which PyAV drops unless a level is set.
if av.logging.get_level() is None:
    av.logging.set_level(av.logging.ERROR)


@dataclass(frozen=True)
class VideoInfo:
    """What a video's header says.

    Attributes:
        frames: number of frames, or None where the header does not say.
        fps: mean frame rate, frames a second, or None (a folder of PNGs has none).
        size: (H, W) px.
    """

    frames: int | None
    fps: float | None
    size: tuple[int, int]


def probe(path: StrPath) -> VideoInfo:
    """Reads a video's header, and its first frame where one could be turned. Raises InputError as `read_video` does."""
    path = Path(path)
    if path.is_dir():
        names = _png_names(path)
        return VideoInfo(len(names), None, png_size(names[0]))
    with av.logging.Capture(local=True), _opened(path) as (container, stream, info):
        with contextlib.suppress(av.FFmpegError, ValueError):  # damage is the reader's to name
            first = next(container.decode(stream), None)
            if first is not None and _quarter_turns(path, first) % 2:
                return replace(info, size=info.size[::-1])
        return info


def read_video(path: StrPath, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Decodes a whole video.

    Args:
        path: mp4, mkv, webm or gif file, or a folder of PNGs of one size, taken in the order of their names.
        max_pixels: refuses a video with more pixels in all its frames together, before memory is taken for them.

    Returns:
        uint8 `[T, H, W, 3]` RGB, T >= 1, upright where the file says how it is to be turned (a phone's video). An alpha
        channel is dropped, more than 8 bits are rounded.

    Raises:
        InputError: missing, empty, truncated, damaged, not a video, too large, HDR, frames of unequal size or at
            uneven times.
    """
    path = Path(path)
    return (_read_folder(path, max_pixels) if path.is_dir() else _read_file(path, max_pixels)).whole()


def read_video_as(
    path: StrPath, frames: int, size: tuple[int, int], fps: float, label: str = ""
) -> npt.NDArray[np.uint8]:
    """Reads a video that must have a given form.

    Args:
        path: as for `read_video`.
        frames: asked length T.
        size: asked (H, W) px.
        fps: asked frames a second. A folder of PNGs has no rate and passes; a GIF counts its delays in hundredths of
            a second, and passes when its mean delay is within one of them.
        label: words that begin the error's second part, such as the case that the video belongs to.

    Returns:
        uint8 `[T, H, W, 3]` RGB.

    Raises:
        InputError: as `read_video`; or wrong size, frame rate or length.
    """
    begin = f"{label}: " if label else ""
    info = probe(path)
    if info.size != tuple(size):
        raise InputError(path, f"{begin}size is {_px(info.size)} instead of {_px(size)}", f"make it {_px(size)}")
    if info.fps is not None and not _same_rate(info.fps, fps, Path(path).suffix.lower() == ".gif"):
        what = f"{begin}frame rate is {info.fps:g} a second instead of {fps:g}"
        raise InputError(path, what, f"make it {fps:g} frames a second")
    video = read_video(path)
    if len(video) != frames:
        what = f"{begin}length is {len(video)} frames instead of {frames}"
        raise InputError(path, what, f"make it {frames} frames, the first frame included")
    return video


def _same_rate(found: float, asked: float, gif: bool) -> bool:
    return abs(found / asked - 1) < 1e-3 or (gif and abs(1 / found - 1 / asked) <= 0.01)


def write_video(path: StrPath, frames: npt.NDArray[np.uint8], fps: float) -> None:
    """Writes frames losslessly as FFV1 in Matroska; the same frames give the same bytes with one FFmpeg version.

    Args:
        path: file ending with `.mkv`.
        frames: uint8 `[T, H, W, 3]` RGB, T >= 1.
        fps: frames a second.

    Raises:
        InputError: the file cannot be written (the old content is kept).
        ValueError: frames of another type or shape, or another suffix.
    """
    if Path(path).suffix != ".mkv":
        raise ValueError(f"{path}: a lossless video ends with .mkv")
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3 or frames.size == 0:
        raise ValueError(f"frames are {frames.dtype} {frames.shape}, not uint8 [T, H, W, 3]")
    file = io.BytesIO()
    with av.open(file, "w", format="matroska", options={"fflags": "+bitexact"}) as container:
        rate = Fraction(fps).limit_denominator(1001)
        options = {"level": "3", "slicecrc": "1", "slices": "4", "g": "12", "coder": "rice", "context": "1"}
        stream = container.add_stream("ffv1", rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "bgr0"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))
    write_bytes(path, file.getbuffer())


def mp4_bytes(frames: npt.NDArray[np.uint8], fps: float, options: dict[str, str]) -> bytes:
    """Frames uint8 `[T, H, W, 3]` RGB as H.264 (4:2:0, BT.601) in MP4; `options` are x264's, such as `{"crf": "12"}`.

    Raises:
        InputError: an odd width or height, which 4:2:0 cannot hold.
    """
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise InputError("mp4", f"frames are {_px(frames.shape[1:3])}, H.264 wants even sides", "give an even --size")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001), options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode(None))
    return file.getvalue()


def write_mp4(path: StrPath, frames: npt.NDArray[np.uint8], fps: float, crf: int = 12) -> None:
    """Writes frames as an MP4 that every player opens; lossy. Raises as `write_video` and `mp4_bytes` do."""
    write_bytes(path, mp4_bytes(frames, fps, {"crf": str(crf)}))


class _Frames:
    """Frames of one size, put one after the other into memory that grows: never the whole video twice."""

    def __init__(self) -> None:
        self._video, self._count = np.array([], np.uint8), 0

    def __len__(self) -> int:
        return self._count

    def append(self, frame: npt.NDArray[np.uint8]) -> None:
        if not self._count:
            self._video = np.empty((64, *frame.shape), np.uint8)
        elif self._count == len(self._video):
            self._video.resize((2 * self._count, *frame.shape), refcheck=False)
        self._video[self._count] = frame
        self._count += 1

    def whole(self) -> npt.NDArray[np.uint8]:
        """The video `[T, H, W, 3]`; nothing is appended afterwards."""
        self._video.resize((self._count, *self._video.shape[1:]), refcheck=False)
        return self._video


def _png_names(folder: Path) -> list[Path]:
    names = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".png" and not p.name.startswith("."))
    if not names:
        raise InputError(folder, "is a folder without PNGs", "give one PNG a frame, named in their order")
    return names


def _read_folder(folder: Path, max_pixels: int) -> _Frames:
    names = _png_names(folder)
    size = png_size(names[0])
    check_pixels(folder, len(names) * size[0] * size[1], max_pixels)
    frames = _Frames()
    for name in names:
        if png_size(name) != size:
            what = f"is {_px(png_size(name))}, but {names[0].name} is {_px(size)}"
            raise InputError(name, what, "give frames of one size")
        frames.append(read_png(name, max_pixels))
    return frames


def _px(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]} px"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream, VideoInfo]]:
    """The open container, its first video stream, set to decode on one thread, and what the header says."""
    format = FORMATS.get(path.suffix.lower())
    if not path.exists():
        raise InputError(path, "is missing", f"give {KINDS}")
    if format is None or not path.is_file():
        raise InputError(path, "is not a video that can be read", f"give {KINDS}")
    if path.stat().st_size == 0:
        raise InputError(path, "is empty", AGAIN)
    try:
        # An absolute path and a fixed demuxer: no name is taken for an address, no playlist is followed.
        container = av.open(str(path.resolve()), format=format)
    except (av.FFmpegError, OSError, ValueError) as error:
        what = "breaks off in its header" if cut_short(path, format) else f"is not a {path.suffix[1:]} video"
        raise InputError(path, f"{what}, or is damaged: {_reason(error)}", AGAIN) from error
    with container:
        if not container.streams.video:
            what = "breaks off in its header" if cut_short(path, format) else "holds no video stream"
            raise InputError(path, what, f"give {KINDS}")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        rate = stream.average_rate
        frames = stream.frames
        if not frames and rate and container.duration and len(container.streams) == 1:
            frames = round(container.duration / av.time_base * rate)
        size = stream.codec_context.height, stream.codec_context.width
        if min(size) <= 0:
            raise InputError(path, "has frames of no size, or of one that cannot be decoded", AGAIN)
        yield container, stream, VideoInfo(frames or None, float(rate) if rate else None, size)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _read_file(path: Path, max_pixels: int) -> _Frames:
    frames = _Frames()
    with av.logging.Capture(local=True) as log, _opened(path) as (container, stream, info):
        check_pixels(path, (info.frames or 1) * info.size[0] * info.size[1], max_pixels)
        _check_range(path, stream)
        times: list[float] = []
        to_rgb = VideoReformatter()  # one for all frames: setting up the conversion takes longer than converting
        try:
            for frame in container.decode(stream):
                if frame.is_corrupt or (stream.codec_context.name == "ffv1" and log):
                    raise InputError(path, f"frame {len(frames)} is damaged", AGAIN)
                if (frame.height, frame.width) != info.size:
                    what = f"frame {len(frames)} is {_px((frame.height, frame.width))}, the first is {_px(info.size)}"
                    raise InputError(path, what, "give frames of one size")
                check_pixels(path, (len(frames) + 1) * frame.height * frame.width, max_pixels)
                rgb = np.asarray(to_rgb.reformat(frame, format="rgb24", interpolation=_SWS).to_ndarray(), np.uint8)
                frames.append(np.rot90(rgb, _quarter_turns(path, frame)))
                times += [] if frame.time is None else [frame.time]
        except (av.FFmpegError, ValueError) as error:
            raise InputError(path, f"is damaged after {len(frames)} frames: {_reason(error)}", AGAIN) from error
    if cut_short(path, FORMATS[path.suffix.lower()]):
        expected = f" of {info.frames}" if info.frames and info.frames > len(frames) else ""
        raise InputError(path, f"is truncated: it breaks off after {len(frames)}{expected} frames", AGAIN)
    if not len(frames):
        raise InputError(path, "has no frames", "give a video with at least one frame")
    _check_rate(path, times)
    return frames


def _quarter_turns(path: Path, frame: VideoFrame) -> int:
    """Quarter turns counterclockwise that bring a frame upright."""
    turns, rest = divmod(frame.rotation, 90)
    if rest:
        raise InputError(path, f"is to be shown turned by {frame.rotation} degrees", "write it upright")
    return turns


def _check_range(path: Path, stream: VideoStream) -> None:
    """Refuses HDR, whose numbers mean other light than RGB's: shown without tone mapping it is pale."""
    kind = HDR.get(stream.codec_context.color_trc)
    if kind:
        raise InputError(path, f"is HDR ({kind})", "map its tones to SDR (BT.709) first")


def _check_rate(path: Path, times: list[float]) -> None:
    """Refuses a variable frame rate: speeds and arrival times would be wrong."""
    gaps = np.diff(times)
    # Containers round times, GIF to hundredths of a second.
    if len(gaps) > 1 and np.abs(gaps - np.median(gaps)).max() > max(0.5 * np.median(gaps), 0.011):
        what = f"has a variable frame rate ({1000 * gaps.min():.0f} to {1000 * gaps.max():.0f} ms between frames)"
        raise InputError(path, what, "give it a constant one (ffmpeg: -fps_mode cfr)")
