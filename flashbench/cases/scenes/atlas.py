"""The atlas of the embedded scenes: named cut-out sprites and the photographs and textures that lie behind them.

    >>> atlas = load_atlas()
    >>> sprite = atlas.sprites("train")[0]
    >>> sprite.article, sprite.name, sprite.plural, sprite.rgba.shape
    ('a', 'dog', 'dogs', (96, 96, 4))

What is in it, whose it is and how it is made again: `atlas/CREDITS.md`. The pixels are stored losslessly and are
checked against the sums in `atlas.json`, so the scenes are the same to the pixel wherever the atlas loads at all.
"""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, Literal, NoReturn, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from flashbench.errors import InputError

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Sprite:
    """One nameable object on nothing.

    Attributes:
        name: noun phrase without article, such as `red apple`; unique in the atlas.
        plural: of the whole phrase, such as `slices of pizza`.
        article: `a` or `an`.
        code: Unicode code points of the emoji in hexadecimal, joined by `-`, without variation selectors.
        split: `train` or `test`; look-alikes are in one split.
        rgba: uint8 `[96, 96, 4]`, straight alpha, read-only. The object's longer side fills the 96 px, it is centred,
            and where alpha is 0 the colour is 0 too (no alpha lies in 1..7).
    """

    name: str
    plural: str
    article: str
    code: str
    split: Split
    rgba: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Background:
    """A picture to put behind the sprites.

    Attributes:
        name: unique in the atlas; says what the picture shows.
        kind: `photo` or `texture`.
        split: `train` or `test`; all crops of one photograph are in one split.
        rgb: uint8 `[H, W, 3]`, read-only; the shorter side is 256 px, the longer at most 384.
    """

    name: str
    kind: Literal["photo", "texture"]
    split: Split
    rgb: npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Atlas:
    """All sprites and backgrounds, in the fixed order of `atlas.json`."""

    all_sprites: tuple[Sprite, ...]
    all_backgrounds: tuple[Background, ...]

    def sprites(self, split: str) -> tuple[Sprite, ...]:
        """Those of `train` or `test`, in order."""
        _check_split(split)
        return tuple(s for s in self.all_sprites if s.split == split)

    def backgrounds(self, split: str) -> tuple[Background, ...]:
        """Those of `train` or `test`, in order."""
        _check_split(split)
        return tuple(b for b in self.all_backgrounds if b.split == split)


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """The atlas that is installed with the package, read once.

    Raises:
        InputError: a file is missing, cannot be read, or its pixels differ from the sum in `atlas.json`.
    """
    return read_atlas(resources.files("flashbench") / "cases" / "scenes" / "atlas")


def read_atlas(folder: Traversable) -> Atlas:
    """The atlas in `folder` (see `load_atlas`)."""
    try:
        table: dict[str, Any] = json.loads(_read(folder, "atlas.json"))
        sheet = _pixels(folder, table["sheet"], table["sha256"], "RGBA")
        side, columns = int(table["side"]), int(table["columns"])
        sprites = [
            Sprite(r["name"], r["plural"], r["article"], r["code"], r["split"], _cell(sheet, r["index"], side, columns))
            for r in table["sprites"]
        ]
        backgrounds = [
            Background(r["name"], r["kind"], r["split"], _pixels(folder, r["file"], r["sha256"], "RGB"))
            for r in table["backgrounds"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        _damaged(folder, "atlas.json", f"is not the atlas's table ({type(error).__name__}: {error})")
    return Atlas(tuple(sprites), tuple(backgrounds))


def _check_split(split: str) -> None:
    if split not in get_args(Split):
        raise InputError("atlas", f"there is no split {split!r}", f"choose one of {', '.join(get_args(Split))}")


def _damaged(folder: Traversable, name: str, what: str) -> NoReturn:
    raise InputError(
        f"{folder}/{name}", what, "install flashbench again, or remake the atlas as its CREDITS.md says"
    ) from None


def _read(folder: Traversable, name: str) -> bytes:
    try:
        return folder.joinpath(*name.split("/")).read_bytes()
    except OSError as error:
        _damaged(folder, name, f"cannot be read ({type(error).__name__})")


def _pixels(folder: Traversable, name: str, sha256: str, mode: str) -> npt.NDArray[np.uint8]:
    data = _read(folder, name)
    try:
        pixels = np.array(Image.open(io.BytesIO(data)).convert(mode))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        _damaged(folder, name, f"is no readable picture ({type(error).__name__})")
    if hashlib.sha256(pixels.tobytes()).hexdigest() != sha256:
        _damaged(folder, name, "pixels differ from the sum in atlas.json")
    pixels.flags.writeable = False
    return pixels


def _cell(sheet: npt.NDArray[np.uint8], index: int, side: int, columns: int) -> npt.NDArray[np.uint8]:
    y, x = index // columns * side, index % columns * side
    cell = np.ascontiguousarray(sheet[y : y + side, x : x + side])
    if cell.shape != (side, side, 4):
        raise ValueError(f"sprite {index} lies outside the sheet")
    cell.flags.writeable = False
    return cell
