"""Masks of a whole video held as bits: an eighth of the memory of an array of bool, which is made a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]


class Bits:
    """Bool `[..., H, W]`, read and written like an array along the leading axes; each picture lies in whole bytes.

    `bits[i]`, `bits[:, frames]` are arrays of bool, made anew each time; H and W are not indexed. `np.asarray(bits)` is
    the whole. What is not yet written is False.

    Args:
        shape: `[..., H, W]`, at least one leading axis.
        packed: uint8, ceil(H W / 8) bytes a picture in C order, as `self.packed`; None: all False.

    Raises:
        ValueError: `packed` has another number of bytes.
    """

    dtype = np.dtype(np.bool_)

    def __init__(self, shape: tuple[int, ...], packed: npt.NDArray[np.uint8] | None = None) -> None:
        self.shape, self._pixels = shape, shape[-2] * shape[-1]
        rows = (*shape[:-2], -(-self._pixels // 8))
        self._rows = np.zeros(rows, np.uint8) if packed is None else packed.reshape(rows)

    @classmethod
    def of(cls, masks: Bools) -> Bits:
        """The bits of an array."""
        out = cls(masks.shape)
        out[...] = masks
        return out

    @property
    def packed(self) -> npt.NDArray[np.uint8]:
        """All bytes, `[n]`."""
        return self._rows.reshape(-1)

    def __getitem__(self, key: Any) -> Bools:
        rows = self._rows[key]
        pictures = np.unpackbits(rows, axis=-1, count=self._pixels).view(np.bool_)
        return pictures.reshape(*rows.shape[:-1], *self.shape[-2:])

    def __setitem__(self, key: Any, masks: Bools) -> None:
        self._rows[key] = np.packbits(masks.reshape(*masks.shape[:-2], self._pixels), axis=-1)

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[Bools]:
        return (self[i] for i in range(len(self)))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[...].astype(np.bool_ if dtype is None else dtype, copy=False)
