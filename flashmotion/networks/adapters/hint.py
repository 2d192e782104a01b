"""The hint of stage 0: mask maps through one linear layer, added to the generator's tokens while it is trained.

It is no adapter of the shipped models. Adapters start from it where they have an input layer of the same shape.
"""

from __future__ import annotations

from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from flashmotion.networks.generator import Embedded


class Hint(ModelMixin, ConfigMixin):
    """One convolution with the generator's patch size, all zero at the start."""

    @register_to_config
    def __init__(self, control_channels: int, dim: int, patch_size: tuple[int, int, int] = (1, 1, 1)) -> None:
        super().__init__()
        self.embedding = nn.Conv3d(control_channels, dim, kernel_size=patch_size, stride=patch_size)
        nn.init.zeros_(self.embedding.weight)
        if self.embedding.bias is not None:
            nn.init.zeros_(self.embedding.bias)

    def forward(self, control: Tensor, embedded: Embedded, given: Tensor | float = 1.0) -> Embedded:
        """Adds the hint to tokens.

        Args:
            control: mask maps as latents `[B, C, F, h, w]`.
            embedded: the generator's tokens.
            given: `[B, 1, 1]`, 1 for samples that get the hint, else 0.
        """
        tokens = self.embedding(control).flatten(2).transpose(1, 2)
        return embedded._replace(hidden=embedded.hidden + given * tokens)
