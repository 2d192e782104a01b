"""ControlNet-style adapter (the paper, section 3.2): a trainable copy of the generator's blocks, fed with the path."""

from __future__ import annotations

import copy

from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from torch import Tensor, nn

from flashmotion.networks.adapters.hint import Hint
from flashmotion.networks.generator import BLOCKS, Embedded


class ControlNetAdapter(ModelMixin, ConfigMixin):
    """Copy of the blocks whose i-th output passes a zero-initialised linear map to the generator's block i."""

    @register_to_config
    def __init__(
        self,
        control_channels: int,
        patch_size: tuple[int, int, int],
        num_attention_heads: int,
        attention_head_dim: int,
        ffn_dim: int,
        num_layers: int,
        cross_attn_norm: bool = True,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        dim = num_attention_heads * attention_head_dim
        self.control_embedding = nn.Conv3d(control_channels, dim, kernel_size=patch_size, stride=patch_size)
        self.blocks = nn.ModuleList(
            WanTransformerBlock(dim, ffn_dim, num_attention_heads, cross_attn_norm=cross_attn_norm, eps=eps)
            for _ in range(num_layers)
        )
        self.outputs = nn.ModuleList(nn.Linear(dim, dim) for _ in range(num_layers))
        for layer in self.outputs:
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    @classmethod
    def of(cls, generator: WanTransformer3DModel, control_channels: int, hint: Hint | None = None) -> ControlNetAdapter:
        """An adapter that starts as a copy of the generator's blocks, with a hint's input layer if one is given."""
        c = generator.config
        adapter = cls(
            control_channels,
            tuple(c.patch_size),
            c.num_attention_heads,
            c.attention_head_dim,
            c.ffn_dim,
            c.num_layers,
            c.cross_attn_norm,
            c.eps,
        )
        adapter.blocks.load_state_dict(copy.deepcopy(generator.blocks.state_dict()))
        if hint is not None:
            adapter.control_embedding.load_state_dict(hint.embedding.state_dict())
        return adapter

    def forward(self, control: Tensor, embedded: Embedded) -> list[Tensor]:
        hidden = embedded.hidden + self.control_embedding(control).flatten(2).transpose(1, 2)
        residuals = []
        for block, output in zip(self.blocks, self.outputs, strict=True):
            hidden = BLOCKS.run(
                block, hidden, embedded.text, embedded.modulation, embedded.rope[0], embedded.rope[1], embedded.first
            )
            residuals.append(output(hidden))
        return residuals
