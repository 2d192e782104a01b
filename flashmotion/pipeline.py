"""FlashMotionPipeline: first frame, prompt and colour maps in, video out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from diffusers import DiffusionPipeline, WanTransformer3DModel
from torch import nn

from flashmotion import flow
from flashmotion.networks.attention import in_rows, suits
from flashmotion.networks.codec import to_latents, to_video
from flashmotion.precision import autocast, pick
from flashmotion.sampling import denoiser, few_step, guided, multi_step, start


@dataclass
class FlashMotionOutput:
    """frames: uint8 `[T, H, W, 3]`."""

    frames: npt.NDArray[np.uint8]


class FlashMotionPipeline(DiffusionPipeline):
    """Generator, adapter and codec with the way they are sampled.

    Args:
        generator: WanTransformer3DModel; adapter: a TrajectoryAdapter, or None; codec: PatchCodec or AutoencoderKLWan.
        steps: denoising steps of the multi-step sampler, along times shifted by `shift`; not used with `few_steps`.
        few_steps: times of the few-step sampler (predict x0, noise afresh), or None.
        guidance: classifier-free guidance of the multi-step sampler; 1 is none.
        text_length: length to which prompts are padded.
    """

    _optional_components = ["adapter"]

    def __init__(
        self,
        generator: WanTransformer3DModel,
        adapter: nn.Module | None,
        codec: nn.Module,
        steps: int = 50,
        shift: float = 12.0,
        few_steps: Sequence[float] | None = None,
        guidance: float = 1.0,
        text_length: int = 48,
    ) -> None:
        super().__init__()
        self.register_modules(generator=generator, adapter=adapter, codec=codec)
        self.register_to_config(
            steps=steps,
            shift=shift,
            few_steps=None if few_steps is None else list(few_steps),
            guidance=guidance,
            text_length=text_length,
        )
        self._text: Any = None

    def encode_prompts(self, prompts: Sequence[str]) -> torch.Tensor:
        """Token states `[B, L, 384]` of all-MiniLM-L6-v2, which is fetched once and kept."""
        if self._text is None:
            from flashbench.backbones.minilm import MiniLM

            self._text = MiniLM.load()
        # Half precision, as in training.
        return self._text.tokens(prompts, self.config.text_length)[0].half().float()

    @torch.inference_mode()
    def __call__(
        self, image: npt.NDArray[np.uint8], prompt: str, maps: npt.NDArray[np.uint8], seed: int = 0, dtype: str = "auto"
    ) -> FlashMotionOutput:
        """Makes one video.

        Args:
            image: first frame, uint8 `[H, W, 3]`.
            prompt: a sentence.
            maps: colour maps of the trajectories, uint8 `[T, H, W, 3]`, T = 1 + 4 k.
            seed: of all noise.
            dtype: `auto`, `fp32` or `bf16`.
        """
        rng, device = torch.Generator().manual_seed(seed), self.generator.device
        first = to_latents(self.codec, torch.from_numpy(np.ascontiguousarray(image))[None, None].to(device))
        control = to_latents(self.codec, torch.from_numpy(np.ascontiguousarray(maps))[None].to(device))
        frames = torch.arange(control.shape[2], device=device)
        states = self.encode_prompts([prompt, ""]).to(device)
        x = start(first, len(frames), rng)
        chosen = pick(dtype, str(device))
        attention = in_rows(self.generator, self.adapter) if suits(chosen, device) else nullcontext()
        with autocast(chosen, str(device)), attention:
            bound = [denoiser(self.generator, s[None], frames, self.adapter, control) for s in states]
            if self.config.few_steps is not None:
                z = few_step(bound[0], x, self.config.few_steps, rng)
            else:
                z = multi_step(
                    guided(bound[0], bound[1], self.config.guidance),
                    x,
                    flow.sampling_times(self.config.steps, self.config.shift),
                )
        video = to_video(self.codec, z)[0].cpu().numpy()
        video[0] = image  # given, not made
        return FlashMotionOutput(video)
