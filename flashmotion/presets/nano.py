"""Nano: what two CPU cores train in hours. 64 x 64 px, 121 frames, 31 x 8 x 8 latent positions."""

from flashmotion.presets.schema import Preset, Schedule

# fmt: off
NANO = Preset(
    name="nano",
    size=64, frames=121, scenes=8192, groups=12, text_length=48,
    channels=192, patch=8, heads=4, head_dim=64, layers=6, ffn=1024, freq_dim=128,
    consecutive=0.75, train_shift=3.0, high_noise=0.15, low_noise=0.25, sample_shift=60.0, slow_steps=50, guidance=1.5,
    text_dropout=0.1, low_noise_floor=0.06, background_weight=0.6, gradient_loss=4.0,
    few_steps=(1.0, 0.75, 0.5, 0.25),
    base=Schedule(steps=4500, batch=4, lr=1e-3, muon_lr=2e-3),
    slow_adapter=Schedule(steps=2200, batch=4, lr=1e-3, muon_lr=2e-3),
    mask_share=1.0,
    fast_generator=Schedule(steps=400, batch=4, lr=1e-4, betas=(0.0, 0.999), ema=0.99),
    # A second moment over 1,000 updates would still hold lambda = 10 when the 200 that there are end: hence 0.99.
    fast_adapter=Schedule(steps=400, batch=4, lr=2e-4, betas=(0.0, 0.99), ema=0.99),
    # The paper updates the adapter at every fifth step; 400 steps are few, hence every second.
    dmd_guidance=1.5, critic_updates=5, heads_updates=2, gan_weight=0.2,
)
# fmt: on
