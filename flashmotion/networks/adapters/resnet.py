"""ResNet-style adapter (the paper, section 3.2): light residual convolutions over the path, one a generator block.

The paper does not give its layout. Here: the input layer has the generator's width and may start from the hint; every
block is a bottleneck of GroupNorm, SiLU and convolutions in space alone. Convolutions in time would tell a block how
long the clip is (their padding), and groups of a training sample are not neighbours in time.
"""

from __future__ import annotations

from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn

from flashmotion.networks.adapters.hint import Hint
from flashmotion.networks.generator import Embedded


class _Residual(nn.Module):
    """x + conv1x1(silu(conv3x3(silu(norm(x))))), `[B F, D, h, w]`."""

    def __init__(self, dim: int, inner: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, dim)
        self.down = nn.Conv2d(dim, inner, 3, padding=1)
        self.up = nn.Conv2d(inner, dim, 1)
        self.act = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(self.act(self.down(self.act(self.norm(x)))))


class ResNetAdapter(ModelMixin, ConfigMixin):
    """A chain of residual blocks; the i-th one's state passes a zero-initialised linear map to generator block i."""

    @register_to_config
    def __init__(
        self,
        control_channels: int,
        dim: int,
        num_layers: int,
        patch_size: tuple[int, int, int] = (1, 1, 1),
        inner: int = 0,
        groups: int = 8,
    ) -> None:
        """inner: channels inside a block, 0 for half of `dim`."""
        super().__init__()
        self.control_embedding = nn.Conv3d(control_channels, dim, kernel_size=patch_size, stride=patch_size)
        self.blocks = nn.ModuleList(_Residual(dim, inner or dim // 2, groups) for _ in range(num_layers))
        self.outputs = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_layers))
        for layer in self.outputs:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @classmethod
    def of(cls, generator: WanTransformer3DModel, control_channels: int, hint: Hint | None = None) -> ResNetAdapter:
        """An adapter of the generator's width and depth, with a hint's input layer if one is given."""
        c = generator.config
        adapter = cls(control_channels, c.num_attention_heads * c.attention_head_dim, c.num_layers, tuple(c.patch_size))
        if hint is not None:
            adapter.control_embedding.load_state_dict(hint.embedding.state_dict())
        return adapter

    def forward(self, control: Tensor, embedded: Embedded) -> list[Tensor]:
        x = self.control_embedding(control)
        b, _, f, h, w = x.shape
        x = x.transpose(1, 2).flatten(0, 1)  # (B F, D, h, w)
        residuals = []
        for block, output in zip(self.blocks, self.outputs, strict=True):
            x = block(x)
            tokens = x.unflatten(0, (b, f)).permute(0, 1, 3, 4, 2).reshape(b, f * h * w, -1)
            residuals.append(output(tokens))
        return residuals
