"""The nano generator: a WanTransformer3DModel that predicts the change against the first frame."""

from __future__ import annotations

from collections.abc import Sequence

from diffusers import WanTransformer3DModel
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_utils import ModelMixin  # noqa: F401 (a pipeline that is loaded looks here for it)
from torch import Tensor

from flashmotion.networks.constants import channels


class ResidualGenerator(WanTransformer3DModel):
    """WanTransformer3DModel with 2 C input channels: x_t and the first latent z, repeated.

    With d = x_0 - z, of standard deviation s a channel, x_t - (1 - t) z = (1 - t) d + t eps. What of it belongs to d is
    known before any learning, its linear estimate a; the network adds the rest, at a scale that it can keep at all t
    (Karras et al. 2022, section 5, for flow matching):

        x_0 = z + g a(t) (x_t - (1 - t) z) + b(t) F,  a = (1 - t) s^2 / D^2,  b = t / D,  D^2 = (1 - t)^2 s^2 + t^2.

    At t = 1 that is x_0 = z + F, at t = 0 and g = 1 it is x_t. Without it (`residual_std` None: x_0 = z + F throughout)
    a network narrower than its latents cannot hand x_t through and is worse at little noise than at much. The gate
    g = 2 sigmoid(G) is the network's, for each position and channel: where nothing moves, x_t holds nothing but noise.

    Args:
        out_channels: C for F alone (then g = 1), 2 C for F and G.
        residual_std: s, C numbers. The others are diffusers'.
    """

    @register_to_config
    def __init__(
        self,
        patch_size: Sequence[int] = (1, 1, 1),
        num_attention_heads: int = 4,
        attention_head_dim: int = 64,
        in_channels: int = 384,
        out_channels: int = 192,
        text_dim: int = 384,
        freq_dim: int = 128,
        ffn_dim: int = 1024,
        num_layers: int = 6,
        cross_attn_norm: bool = True,
        qk_norm: str | None = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 256,
        pos_embed_seq_len: int | None = None,
        residual_std: list[float] | None = None,
    ) -> None:
        super().__init__(
            tuple(patch_size),
            num_attention_heads,
            attention_head_dim,
            in_channels,
            out_channels,
            text_dim,
            freq_dim,
            ffn_dim,
            num_layers,
            cross_attn_norm,
            qk_norm,
            eps,
            image_dim,
            added_kv_proj_dim,
            rope_max_seq_len,
            pos_embed_seq_len,
        )

    def clean(self, x: Tensor, t: Tensor, out: Tensor) -> Tensor:
        """x_0 `[B, C, F, h, w]` of x_t (the clean first latent in frame 0), t `[B]` and the output."""
        first = x[:, :, :1]
        s = self.config.residual_std
        if s is None:
            return first + out
        t = t.view(-1, 1, 1, 1, 1).to(x.dtype)
        square = channels(s, x).square()
        d2 = (1 - t).square() * square + t.square()
        known = (1 - t) * square / d2 * (x - (1 - t) * first)
        if out.shape[1] == 2 * x.shape[1]:
            out, gate = out.chunk(2, dim=1)
            known = known * (2 * gate.sigmoid())
        return first + known + t / d2.sqrt() * out
