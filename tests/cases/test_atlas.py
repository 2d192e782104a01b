"""The atlas: what is in it, that its splits share nothing, that damage is noticed, that everybody is credited."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from flashbench.cases.scenes.atlas import Atlas, Background, Sprite, load_atlas, read_atlas
from flashbench.errors import InputError

Pixels = npt.NDArray[np.uint8]
FOLDER = Path("flashbench") / "cases" / "scenes" / "atlas"


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return load_atlas()


def test_sizes(atlas: Atlas) -> None:
    assert (len(atlas.sprites("train")), len(atlas.sprites("test"))) == (200, 60)
    counts = {
        (k, s): sum(b.kind == k for b in atlas.backgrounds(s)) for k in ("photo", "texture") for s in ("train", "test")
    }
    assert counts == {("photo", "train"): 14, ("photo", "test"): 7, ("texture", "train"): 10, ("texture", "test"): 4}


def test_sprites_are_tight_centred_and_clean(atlas: Atlas) -> None:
    for s in atlas.all_sprites:
        assert s.rgba.shape == (96, 96, 4) and s.rgba.dtype == np.uint8 and not s.rgba.flags.writeable
        alpha = s.rgba[..., 3]
        assert not ((alpha > 0) & (alpha < 8)).any(), s.name
        assert not s.rgba[alpha == 0].any(), s.name
        ys, xs = np.nonzero(alpha)
        spans = [(int(v.min()), int(v.max())) for v in (ys, xs)]
        assert max(hi - lo + 1 for lo, hi in spans) >= 94, s.name  # the faintest rim may have been cleared
        assert all(abs(lo + hi - 95) <= 3 for lo, hi in spans), s.name
        assert (alpha >= 128).mean() > 0.1, f"{s.name} is too thin to be seen or tracked"


def test_backgrounds_have_one_scale(atlas: Atlas) -> None:
    for b in atlas.all_backgrounds:
        h, w, channels = b.rgb.shape
        assert min(h, w) == 256 and max(h, w) <= 384 and channels == 3, b.name
        assert b.rgb.dtype == np.uint8 and not b.rgb.flags.writeable


def test_names_read_well(atlas: Atlas) -> None:
    for things in (atlas.all_sprites, atlas.all_backgrounds):
        names = [t.name for t in things]
        assert len(set(names)) == len(names)
    assert len({s.plural for s in atlas.all_sprites}) == len({s.code for s in atlas.all_sprites}) == 260
    for s in atlas.all_sprites:
        assert s.name == s.name.strip() and s.name.isascii() and "  " not in s.name
        assert not s.name.startswith(("a ", "an ", "the "))
        assert s.article == ("an" if s.name[0].lower() in "aeiou" or s.name == "hourglass" else "a")
    plural = {s.name: s.plural for s in atlas.all_sprites}
    irregular = {
        "slice of pizza": "slices of pizza",
        "white mouse": "white mice",
        "sheep": "sheep",
        "kitchen knife": "kitchen knives",
        "maple leaf": "maple leaves",
        "loaf of bread": "loaves of bread",
        "strawberry": "strawberries",
        "box of french fries": "boxes of french fries",
        "pair of scissors": "pairs of scissors",
        "snowman": "snowmen",
        "hourglass": "hourglasses",
        "key": "keys",
    }
    assert {name: plural[name] for name in irregular} == irregular


# --- the splits share no content


def colour_thumb(rgba: Pixels) -> npt.NDArray[np.float64]:
    """The sprite on black and on white, 24 x 24: in grey levels."""
    views = []
    for grey in (0, 255):
        canvas, sprite = Image.new("RGB", (96, 96), (grey,) * 3), Image.fromarray(rgba)
        canvas.paste(sprite, (0, 0), sprite)
        views.append(np.asarray(canvas.resize((24, 24), Image.Resampling.BOX), np.float64))
    return np.stack(views)  # (2, 24, 24, 3)


def shape_thumb(rgba: Pixels) -> npt.NDArray[np.float64]:
    """Silhouette and shading without colour or contrast: red and green apple give nearly the same."""
    small = np.asarray(Image.fromarray(rgba).resize((24, 24), Image.Resampling.BOX), np.float64)
    alpha, light = small[..., 3] / 255, small[..., :3].mean(-1)
    inside = alpha > 0.5
    shade = np.where(inside, (light - light[inside].mean()) / (light[inside].std() + 8), 0)
    return np.stack([alpha, 0.3 * shade], -1)[None]  # (1, 24, 24, 2)


def distance(
    thumb: Callable[[Pixels], npt.NDArray[np.float64]], a: list[Pixels], b: list[Pixels]
) -> npt.NDArray[np.float64]:
    """Root mean square difference of every pair, the second one mirrored if that is nearer: (len(a), len(b))."""
    left, right = np.stack([thumb(x) for x in a]), np.stack([thumb(x) for x in b])
    return np.minimum(*(_rms(left, v) for v in (right, right[:, :, :, ::-1])))


def _rms(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    square = (a**2).mean(1)[:, None] + (b**2).mean(1) - 2 * a @ b.T / a.shape[1]
    root: npt.NDArray[np.float64] = np.sqrt(np.maximum(square, 0))
    return root


COLOUR_NEAR, SHAPE_NEAR = 40.0, 0.12  # tiger and leopard: 31 and 0.11; nearest pair across the splits: 47 and 0.14


def rgba_of(sprites: tuple[Sprite, ...]) -> list[Pixels]:
    return [s.rgba for s in sprites]


def test_no_sprite_of_one_split_looks_like_one_of_the_other(atlas: Atlas) -> None:
    train, test = atlas.sprites("train"), atlas.sprites("test")
    for thumb, near in ((colour_thumb, COLOUR_NEAR), (shape_thumb, SHAPE_NEAR)):
        between = distance(thumb, rgba_of(test), rgba_of(train))
        i, j = np.unravel_index(between.argmin(), between.shape)
        assert between[i, j] > near, f"{test[i].name} (test) and {train[j].name} (train) look alike"


def test_the_likeness_check_catches_look_alikes(atlas: Atlas) -> None:
    by_name = {s.name: s.rgba for s in atlas.all_sprites}
    alike = {
        colour_thumb: [("tiger", "leopard")],
        shape_thumb: [("red apple", "green apple"), ("red book", "blue book"), ("orange cat", "black cat")],
    }
    for thumb, near in ((colour_thumb, COLOUR_NEAR), (shape_thumb, SHAPE_NEAR)):
        for a, b in alike[thumb]:
            assert distance(thumb, [by_name[a]], [by_name[b]])[0, 0] < near
        mirrored = np.ascontiguousarray(by_name["zebra"][:, ::-1])
        assert distance(thumb, [by_name["zebra"]], [mirrored])[0, 0] < 1e-6


def spectra(rgb: Pixels) -> npt.NDArray[np.complex128]:
    """Fourier phases of the middle 256 x 256 at half size, and of its mirror image."""
    h, w = rgb.shape[:2]
    middle = rgb[(h - 256) // 2 :, (w - 256) // 2 :][:256, :256].astype(np.float64).mean(-1)
    grey = middle.reshape(128, 2, 128, 2).mean((1, 3)) * np.hanning(128) * np.hanning(128)[:, None]
    bands = np.fft.rfft2(np.stack([grey, grey[:, ::-1]]))
    return bands / (np.abs(bands) + 1e-9)  # (2, 128, 65)


def likeness(a: npt.NDArray[np.complex128], b: npt.NDArray[np.complex128]) -> float:
    """Phase correlation, highest over all shifts, mirrorings and the half turn: 1 for the same picture."""
    pairs = np.concatenate(
        [a[:1] * b.conj(), a[:1] * b]
    )  # conjugating a real picture's transform turns it by 180 degrees
    return float(np.fft.irfft2(pairs, (128, 128)).max())


def test_no_photograph_is_in_both_splits(atlas: Atlas) -> None:
    train, test = ([(b.name, spectra(b.rgb)) for b in atlas.backgrounds(s)] for s in ("train", "test"))
    for (name, a), (other, b) in itertools.product(train, test):
        assert likeness(a, b) < 0.15, f"{name} (train) and {other} (test) look alike"  # highest now: 0.09


def test_the_photograph_check_catches_a_changed_copy(atlas: Atlas) -> None:
    photo = next(b.rgb for b in atlas.backgrounds("train") if b.name == "dahlia")
    shifted = np.roll(photo, (40, -70), (0, 1))
    darker = (photo * 0.6).astype(np.uint8)
    for changed in (photo, darker, shifted, shifted[:, ::-1], shifted[::-1], shifted[::-1, ::-1]):
        assert likeness(spectra(photo), spectra(changed)) > 0.3


def test_one_source_file_is_in_one_split(root: Path) -> None:
    table = json.loads((root / FOLDER / "atlas.json").read_text())
    splits: dict[str, set[str]] = {}
    for row in table["backgrounds"]:
        splits.setdefault(row["source"], set()).add(row["split"])
    assert all(len(s) == 1 for s in splits.values())
    assert not any(source.endswith("cat.png") for source in splits)  # bit for bit chelsea.png


# --- damage


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(root / FOLDER, tmp_path / "atlas"))


def change_a_pixel(path: Path) -> None:
    pixels = np.array(Image.open(path))
    pixels[50, 50, 0] ^= 1
    Image.fromarray(pixels).save(path, lossless=True, exact=True, quality=0, method=0)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def change_a_sum(path: Path) -> None:
    table = json.loads(path.read_text())
    table["backgrounds"][3]["sha256"] = "0" * 64
    path.write_text(json.dumps(table))


def drop_a_field(path: Path) -> None:
    table = json.loads(path.read_text())
    del table["sprites"][7]["plural"]
    path.write_text(json.dumps(table))


@pytest.mark.parametrize(
    ("name", "damage", "says"),
    [
        ("sprites.webp", Path.unlink, "cannot be read"),
        ("sprites.webp", cut_short, "no readable picture"),
        ("sprites.webp", change_a_pixel, "pixels differ"),
        ("backgrounds/cork.webp", Path.unlink, "cannot be read"),
        ("backgrounds/cork.webp", change_a_pixel, "pixels differ"),
        ("atlas.json", Path.unlink, "cannot be read"),
        ("atlas.json", cut_short, "is not the atlas's table"),
        ("atlas.json", change_a_sum, "pixels differ"),
        ("atlas.json", drop_a_field, "plural"),
    ],
)
def test_damage_is_one_line(copy: Path, name: str, damage: Callable[[Path], None], says: str) -> None:
    damage(copy / name)
    with pytest.raises(InputError, match=says) as caught:
        read_atlas(copy)
    assert "\n" not in str(caught.value) and "CREDITS.md" in str(caught.value)


def test_an_unharmed_copy_reads(copy: Path, atlas: Atlas) -> None:
    again = read_atlas(copy)
    assert [s.name for s in again.all_sprites] == [s.name for s in atlas.all_sprites]
    assert all(np.array_equal(a.rgba, b.rgba) for a, b in zip(again.all_sprites, atlas.all_sprites, strict=True))


def test_an_unknown_split_is_refused(atlas: Atlas) -> None:
    for ask in (atlas.sprites, atlas.backgrounds):
        with pytest.raises(InputError, match="train, test"):
            ask("val")


# --- size and credit


def test_the_folder_is_small_and_holds_nothing_else(root: Path) -> None:
    folder = root / FOLDER
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    table = json.loads((folder / "atlas.json").read_text())
    assert files == {"atlas.json", "CREDITS.md", table["sheet"], *(r["file"] for r in table["backgrounds"])}
    assert sum((folder / f).stat().st_size for f in files) < 6_000_000


def test_everybody_is_credited(root: Path) -> None:
    credits = (root / FOLDER / "CREDITS.md").read_text()
    assert (
        "Copyright (c) Microsoft Corporation." in credits and "Permission is hereby granted, free of charge" in credits
    )
    for row in json.loads((root / FOLDER / "atlas.json").read_text())["backgrounds"]:
        file = row["source"].split(":")[1]
        line = next(x for x in credits.splitlines() if x.startswith("|") and f"`{file}`" in x)
        assert row["author"] in line and row["licence"] in line
        assert row["licence"] in ("CC0-1.0", "CC-BY-2.0", "CC-BY-4.0", "public domain")


def test_load_atlas_reads_once() -> None:
    assert load_atlas() is load_atlas()
    assert all(isinstance(b, Background) for b in load_atlas().all_backgrounds)
