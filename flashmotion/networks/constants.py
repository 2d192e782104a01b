"""Numbers out of a network's configuration, as tensors that are made once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


def channels(values: Sequence[float], like: Tensor) -> Tensor:
    """`[1, C, 1, 1, 1]` on the device and in the dtype of `like`.

    Kept between calls: a copy to a GPU would wait at every call for all that it has to do.
    """
    return _made(tuple(values), like.device, like.dtype)


@lru_cache(maxsize=64)
def _made(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    # A tensor made in inference mode could not be trained with afterwards.
    with torch.inference_mode(False):
        return torch.tensor(values, device=device, dtype=dtype).view(1, -1, 1, 1, 1)
