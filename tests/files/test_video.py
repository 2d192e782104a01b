"""Videos: lossless round trips, all readable kinds, and one clear line for each thing that can be wrong."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from flashbench.errors import InputError
from flashbench.files import png, video
from flashbench.files.atomic import sha256_file

Video = npt.NDArray[np.uint8]


def scene(frames: int = 25, height: int = 48, width: int = 64, noise: int = 0) -> Video:
    """Smooth colours that drift, so that lossy codecs come close to them."""
    t, y, x = np.mgrid[:frames, :height, :width]
    rgb = np.stack([128 + 80 * np.sin((x + t) / 17), 128 + 80 * np.cos((y - t) / 13), 40 + t * 4 + 0 * x], axis=-1)
    rng = np.random.default_rng(0)
    return np.clip(rgb + rng.integers(-noise, noise + 1, rgb.shape), 0, 255).astype(np.uint8)


def encode(path: Path, frames: Video, codec: str, pix_fmt: str, fps: int = 24, **options: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def pngs(folder: Path, frames: Video) -> Path:
    for t, frame in enumerate(frames):
        png.write_png(folder / f"{t:04d}.png", frame)
    return folder


def gif(path: Path, frames: Video, ms: int = 40) -> Path:
    images = [Image.fromarray(frame) for frame in frames]
    images[0].save(path, save_all=True, append_images=images[1:], duration=ms, loop=0)
    return path


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 5, 7), (2, 480, 832), (25, 33, 64), (121, 64, 64)])
def test_lossless_round_trip(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    video.write_video(tmp_path / "x.mkv", frames, 24)
    assert np.array_equal(video.read_video(tmp_path / "x.mkv"), frames)
    assert video.probe(tmp_path / "x.mkv") == video.VideoInfo(shape[0], 24.0, shape[1:])
    assert [p.name for p in tmp_path.iterdir()] == ["x.mkv"]


@pytest.mark.parametrize("fps", [8, 23.976, 24, 25, 29.97, 30, 60])
def test_frame_rate_is_kept(tmp_path: Path, fps: float) -> None:
    video.write_video(tmp_path / "x.mkv", scene(121), fps)
    info = video.probe(tmp_path / "x.mkv")
    assert info.frames == 121
    assert info.fps == pytest.approx(fps, rel=1e-4)


def test_same_frames_same_bytes_and_same_pixels(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        video.write_video(tmp_path / name, scene(noise=9), 24)
    assert sha256_file(tmp_path / "a.mkv") == sha256_file(tmp_path / "b.mkv")
    encode(tmp_path / "x.mp4", scene(noise=9), "libx264", "yuv420p")
    first, *others = [video.read_video(tmp_path / "x.mp4") for _ in range(4)]
    assert all(np.array_equal(first, other) for other in others)


@pytest.mark.parametrize(
    "make",
    [
        lambda d, f: encode(d / "x.mp4", f, "libx264", "yuv420p", crf="10"),
        lambda d, f: encode(d / "x.mkv", f, "libx264", "yuv420p", crf="10"),
        lambda d, f: encode(d / "x.webm", f, "libvpx-vp9", "yuv420p", crf="10"),
        lambda d, f: encode(d / "X.MP4", f, "libx264", "yuv444p", crf="10"),
        lambda d, f: pngs(d / "x", f),
    ],
    ids=["mp4", "mkv-h264", "webm", "MP4-444", "pngs"],
)
def test_kinds_that_are_read(tmp_path: Path, make: Callable[[Path, Video], Path]) -> None:
    frames = scene()
    path = make(tmp_path, frames)
    found = video.read_video(path)
    assert found.dtype == np.uint8 and found.shape == frames.shape
    assert np.abs(found.astype(int) - frames).mean() < 3
    assert video.probe(path).frames == len(frames)
    assert video.probe(path).fps in (24.0, None)


def test_gif_is_read(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (3, 20, 30, 3)).copy()
    assert np.array_equal(video.read_video(gif(tmp_path / "x.gif", frames)), frames)


@pytest.mark.parametrize("matrix, tag", [("ITU709", 1), ("ITU601", 6), ("ITU601", None)])
def test_colours_follow_the_tag(tmp_path: Path, matrix: str, tag: int | None) -> None:
    from av.video.reformatter import Colorspace

    frames = np.full((5, 32, 32, 3), (200, 60, 30), np.uint8)
    with av.open(str(tmp_path / "x.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "1"})
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        if tag is not None:
            stream.codec_context.colorspace = tag
        for frame in frames:
            yuv = av.VideoFrame.from_ndarray(frame, format="rgb24")
            yuv = yuv.reformat(format="yuv420p", dst_colorspace=Colorspace[matrix])
            container.mux(stream.encode(yuv))
        container.mux(stream.encode(None))
    assert np.abs(video.read_video(tmp_path / "x.mp4").astype(int) - frames).max() <= 2


def refused(path: Path, pattern: str, **kwargs: int) -> None:
    with pytest.raises(InputError, match=pattern) as error:
        video.read_video(path, **kwargs)
    assert str(error.value).startswith(str(path)) or path.is_dir()
    assert "\n" not in str(error.value)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """FFmpeg's own lines never reach the user: ours says what is wrong."""
    yield
    assert [r.getMessage() for r in caplog.get_records("call") if r.name.startswith("libav")] == []


@pytest.mark.parametrize("name", ["x.mp4", "x.mkv", "x.webm", "x.gif"])
def test_missing_empty_and_not_a_video(tmp_path: Path, name: str) -> None:
    refused(tmp_path / name, "is missing; give mp4, mkv, webm, gif or a folder of PNGs")
    (tmp_path / name).write_bytes(b"")
    refused(tmp_path / name, "is empty")
    (tmp_path / name).write_bytes(b"this is no video at all, whatever its name says " * 40)
    refused(tmp_path / name, "(is not a .* video|breaks off in its header), or is damaged")


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.m3u8").write_text("#EXTM3U\n")
    refused(tmp_path / "x.m3u8", "is not a video that can be read")
    png.write_png(tmp_path / "x.png", scene(1)[0])
    refused(tmp_path / "x.png", "is not a video that can be read")


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_a_phones_video_is_turned_upright(tmp_path: Path, degrees: int) -> None:
    path, frames = tmp_path / "x.mp4", scene(5)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "4"})
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.set_display_rotation(degrees)
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    upright = np.rot90(frames, degrees // 90, axes=(1, 2))
    assert video.probe(path).size == upright.shape[1:3]
    assert np.abs(video.read_video_as(path, 5, upright.shape[1:3], 24).astype(int) - upright).mean() < 4


def test_a_video_that_is_turned_askew(tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.set_display_rotation(45)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(scene(1)[0], format="rgb24")))
        container.mux(stream.encode(None))
    refused(path, "is to be shown turned by 45 degrees; write it upright")


@pytest.mark.parametrize(("name", "rate"), [("x.mkv", 1000), ("x.mp4", 1000), ("x.webm", 1000)])
def test_a_variable_frame_rate(tmp_path: Path, name: str, rate: int) -> None:
    codec = "libvpx-vp9" if name == "x.webm" else "libx264"
    for when, fails in (([0, 42, 83, 125, 167], False), ([0, 42, 83, 225, 267], True), ([0, 33, 83, 117, 167], False)):
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream(codec, rate=rate)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            for t, image in zip(when, scene(5), strict=True):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = t, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if fails:
            refused(tmp_path / name, "has a variable frame rate .4. to 142 ms between frames.")
        else:
            assert len(video.read_video(tmp_path / name)) == 5


def test_a_gif_that_holds_a_frame(tmp_path: Path) -> None:
    images = [Image.fromarray(f) for f in scene(4)]
    images[0].save(tmp_path / "x.gif", save_all=True, append_images=images[1:], duration=[40, 40, 200, 40], loop=0)
    refused(tmp_path / "x.gif", "has a variable frame rate")


@pytest.mark.parametrize(("transfer", "kind"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused(tmp_path: Path, transfer: int, kind: str) -> None:
    path = tmp_path / "x.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p10le"
        stream.codec_context.color_trc = transfer
        stream.codec_context.color_primaries = 9
        for frame in scene(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    refused(path, f"is HDR .{kind}.; map its tones to SDR")


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "size"),
    [
        ("x.mkv", "libx264", "yuv420p10le", (48, 64)),  # 10 bits
        ("x.webm", "libvpx-vp9", "yuva420p", (48, 64)),  # alpha
        ("x.webm", "libvpx-vp9", "yuv420p", (47, 63)),  # odd sides
        ("x.mp4", "libx264", "yuv444p", (47, 63)),
    ],
)
def test_other_pixel_forms(tmp_path: Path, name: str, codec: str, pix_fmt: str, size: tuple[int, int]) -> None:
    frames = scene(4, *size)
    got = video.read_video(
        encode(tmp_path / name, frames, codec, pix_fmt, crf="4", **{"b": "0"} if "vp9" in codec else {})
    )
    assert got.shape == frames.shape and np.abs(got.astype(int) - frames).mean() < 4


def test_a_file_without_a_video_stream(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "x.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    refused(tmp_path / "x.mp4", "holds no video stream")


@pytest.mark.parametrize("name", ["x.mkv", "x.mp4", "front.mp4", "x.webm", "x.gif"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.97])
def test_truncated(tmp_path: Path, name: str, part: float) -> None:
    path, frames = tmp_path / name, scene(noise=20)
    if name == "x.mkv":
        video.write_video(path, frames, 24)
    elif name == "x.gif":
        gif(path, frames)
    elif name == "front.mp4":  # the index stands before the frames
        with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
            stream = container.add_stream("libx264", rate=24)
            stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode(None))
    else:
        encode(path, frames, "libx264" if name == "x.mp4" else "libvpx-vp9", "yuv420p")
    assert len(video.read_video(path)) == len(frames)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    refused(path, r"is truncated: it breaks off after \d+|breaks off in its header|is damaged")


def test_truncated_by_its_last_frame(tmp_path: Path) -> None:
    video.write_video(tmp_path / "x.mkv", scene(noise=20), 24)
    data = (tmp_path / "x.mkv").read_bytes()
    (tmp_path / "x.mkv").write_bytes(data[:-1000])
    refused(tmp_path / "x.mkv", "is truncated: it breaks off after 24 of 25 frames; give a whole file")


def test_a_flipped_bit_is_found_by_the_slice_checksum(tmp_path: Path) -> None:
    video.write_video(tmp_path / "x.mkv", scene(noise=20), 24)
    data = bytearray((tmp_path / "x.mkv").read_bytes())
    for at in (len(data) // 3, len(data) // 2, len(data) * 3 // 4):
        bad = bytearray(data)
        bad[at] ^= 0x10
        (tmp_path / "x.mkv").write_bytes(bad)
        refused(tmp_path / "x.mkv", r"frame \d+ is damaged|is damaged after")


def test_too_large_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video.write_video(tmp_path / "x.mkv", scene(25, 48, 64), 24)
    pngs(tmp_path / "x", scene(25, 48, 64))
    monkeypatch.setattr(np, "empty", None)
    monkeypatch.setattr(video, "read_png", None)
    refused(tmp_path / "x.mkv", "has 76,800 pixels in all its frames, more than 76,799", max_pixels=76_799)
    refused(tmp_path / "x", "has 76,800 pixels in all its frames, more than 76,799", max_pixels=76_799)


def test_headers_that_claim_absurd_sizes(tmp_path: Path) -> None:
    path = gif(tmp_path / "x.gif", scene(2))
    data = bytearray(path.read_bytes())
    for side, line in ((15000, "has 450,000,000 pixels in all its frames, more than 268,435,456"), (65535, "no size")):
        data[6:10] = struct.pack("<HH", side, side)
        path.write_bytes(data)
        refused(path, line)
    png.write_png(tmp_path / "f" / "0.png", scene(1)[0])
    data = bytearray((tmp_path / "f" / "0.png").read_bytes())
    data[16:24] = struct.pack(">II", 60000, 60000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "f" / "0.png").write_bytes(data)
    refused(tmp_path / "f", "too many pixels|pixels in all its frames")


def test_folders_of_pngs(tmp_path: Path) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    refused(folder, "is a folder without PNGs; give one PNG a frame")
    (folder / "notes.txt").write_text("")
    refused(folder, "is a folder without PNGs")
    pngs(folder, scene(3))
    assert len(video.read_video(folder)) == 3
    png.write_png(folder / "0003.png", scene(1, 48, 66)[0])
    refused(folder, r"0003\.png: is 66x48 px, but 0000\.png is 64x48 px; give frames of one size")


@pytest.mark.parametrize("damage", ["empty", "truncated", "flipped", "text"])
def test_a_damaged_png_in_a_folder(tmp_path: Path, damage: str) -> None:
    pngs(tmp_path / "x", scene(3, noise=20))
    path = tmp_path / "x" / "0001.png"
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 0xFF
    path.write_bytes({"empty": b"", "truncated": data[: len(data) // 2], "flipped": data, "text": b"no"}[damage])
    refused(tmp_path / "x", r"0001\.png: is (empty|not a PNG|a damaged PNG)")


def test_pngs_of_other_modes(tmp_path: Path) -> None:
    frame = scene(1)[0]
    Image.fromarray(frame).convert("RGBA").save(tmp_path / "a.png")
    assert np.array_equal(png.read_png(tmp_path / "a.png"), frame)
    Image.fromarray(frame[..., 0]).save(tmp_path / "l.png")
    assert np.array_equal(png.read_png(tmp_path / "l.png"), np.repeat(frame[..., :1], 3, axis=2))
    Image.fromarray(frame[..., 0].astype(np.uint16)).save(tmp_path / "i.png")
    with pytest.raises(InputError, match="has pixels of mode I;16; save it with 8 bits a channel"):
        png.read_png(tmp_path / "i.png")


def test_a_video_of_a_given_form(tmp_path: Path) -> None:
    path = encode(tmp_path / "x.mp4", scene(), "libx264", "yuv420p")
    assert video.read_video_as(path, 25, (48, 64), 24.0).shape == (25, 48, 64, 3)
    for frames, size, fps, line in (
        (25, (64, 64), 24.0, "case 'a': size is 64x48 px instead of 64x64 px; make it 64x64 px"),
        (25, (48, 64), 30.0, "case 'a': frame rate is 24 a second instead of 30; make it 30 frames a second"),
        (121, (48, 64), 24.0, "case 'a': length is 25 frames instead of 121; make it 121 frames"),
    ):
        with pytest.raises(InputError, match=line):
            video.read_video_as(path, frames, size, fps, "case 'a'")


def test_rates_of_gifs_and_pngs(tmp_path: Path) -> None:
    path = gif(tmp_path / "x.gif", scene(noise=20))  # 40 ms: the nearest that a GIF can come to 24 a second
    assert len(video.read_video_as(path, 25, (48, 64), 24.0)) == 25
    with pytest.raises(InputError, match="frame rate is 10 a second instead of 24"):
        video.read_video_as(gif(tmp_path / "slow.gif", scene(noise=20), 100), 25, (48, 64), 24.0)
    assert len(video.read_video_as(pngs(tmp_path / "x", scene()), 25, (48, 64), 24.0)) == 25


def test_a_full_disk_keeps_the_old_video(small_disk: Path) -> None:
    path = small_disk / "x.mkv"
    video.write_video(path, scene(5), 24)
    noise = np.random.default_rng(0).integers(0, 256, (40, 128, 128, 3), dtype=np.uint8)
    with pytest.raises(InputError, match=r"x\.mkv: cannot be written: the disk is full"):
        video.write_video(path, noise, 24)
    assert len(video.read_video(path)) == 5
    assert list(small_disk.iterdir()) == [path]


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 8, 8), np.uint8), np.zeros((2, 8, 8, 3)), np.zeros((0, 8, 8, 3), np.uint8)]
)
def test_only_rgb_frames_are_written(tmp_path: Path, frames: Video) -> None:
    with pytest.raises(ValueError, match="not uint8"):
        video.write_video(tmp_path / "x.mkv", frames, 24)


@pytest.mark.parametrize("frames", [1, 63, 64, 65, 130])
def test_any_number_of_frames_fits(frames: int, tmp_path: Path) -> None:
    """Memory for them grows while they are read."""
    shown = np.arange(frames * 16 * 16 * 3, dtype=np.int64).astype(np.uint8).reshape(frames, 16, 16, 3)
    video.write_video(tmp_path / "x.mkv", shown, 24)
    found = video.read_video(tmp_path / "x.mkv")
    assert found.shape == shown.shape and found.flags.c_contiguous and np.array_equal(found, shown)
