"""What every trajectory adapter does."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from flashmotion.networks.generator import Embedded


@runtime_checkable
class TrajectoryAdapter(Protocol):
    """Turns control latents into one residual a generator block; all zero at initialisation."""

    def __call__(self, control: Tensor, embedded: Embedded) -> list[Tensor]:
        """Residuals `[B, N, D]`, one a block.

        Args:
            control: `[B, C, F, h, w]`, the colour maps through the codec.
            embedded: the generator's tokens.
        """
        ...
