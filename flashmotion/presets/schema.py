"""The fields of a preset. One line a field; `replace` makes an experiment out of it."""

from __future__ import annotations

from dataclasses import dataclass

from flashbench.cases.schema import Condition


@dataclass(frozen=True)
class Schedule:
    """How long and how fast one stage trains: warm-up, constant to `hold` of the steps, then linear to zero."""

    steps: int
    batch: int
    lr: float  # AdamW's, for everything that is not a matrix inside a block
    muon_lr: float = 0.0  # Muon's, for the matrices inside blocks; 0 gives them to AdamW
    betas: tuple[float, float] = (0.9, 0.97)
    warmup: int = 30
    hold: float = 0.6
    ema: float = 0.995
    clip: float = 1.0


@dataclass(frozen=True)
class Preset:
    """Everything that decides what a model is and how it is trained."""

    name: str
    # world
    size: int
    frames: int
    scenes: int  # number of training scenes whose prompts are encoded once
    groups: int  # latent frames of a training sample besides the first
    text_length: int
    # codec and generator
    channels: int
    patch: int
    heads: int
    head_dim: int
    layers: int
    ffn: int
    freq_dim: int
    # flow
    consecutive: float  # share of batches whose groups follow each other; those of the others lie anywhere
    train_shift: float
    high_noise: float  # share of training times uniform in 0.9..1, where composition is decided
    low_noise: float  # share of training times uniform in 0..0.4, where details are
    sample_shift: float
    slow_steps: int
    guidance: float
    text_dropout: float
    low_noise_floor: float  # the x0 loss is weighted with 1 / max(t, this)
    background_weight: float  # of the loss where no object is; 1 where one is
    gradient_loss: float  # weight of the loss on differences of the decoded error in space and time
    # few steps
    few_steps: tuple[float, ...]
    # schedules
    base: Schedule
    slow_adapter: Schedule
    mask_share: float  # share of stage 1 that trains with masks before boxes
    fast_generator: Schedule
    fast_adapter: Schedule
    dmd_guidance: float
    critic_updates: int  # stage 2: fake-score updates a generator update
    heads_updates: int  # stage 3: discriminator updates an adapter update
    gan_weight: float  # of L_G beside lambda * L_diffusion
    paired: bool = False  # stage 3: losses of the difference of a real and a made video's logits
    whole_samples: bool = False  # stage 3: the discriminator sees finished samples alone, not those of any step
    discriminator_times: tuple[float, float] = (0.02, 0.98)  # range of the noise that it sees through
    adapter: str = "controlnet"  # or "resnet"
    lambda_form: str | float = "decaying"  # or "rising", or a constant
    discriminator: tuple[str, ...] = ("SS", "TC", "VC")  # its attentions

    @property
    def condition(self) -> Condition:
        """What the finished adapter is asked with: `masks` where stage 1 never comes to boxes, else `boxes`."""
        return "masks" if self.mask_share >= 1 else "boxes"

    @property
    def adapter_updates(self) -> int:
        """How often stage 3 updates the adapter, and so every method that is compared with it."""
        return self.fast_adapter.steps // self.heads_updates

    def part(self, name: str) -> str:
        """Name of an exported network that depends on the adapter: `slow-adapter`, `slow-adapter-resnet`."""
        return name if self.adapter == "controlnet" else f"{name}-{self.adapter}"
