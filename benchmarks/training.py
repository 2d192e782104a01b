"""A training step of each stage, beside the floor of its networks.

As `flashmotion train --compile` makes it. The floor is the arithmetic of the step, forward and backward (counted by
torch), at the rate of a large matrix product on all cores in the same precision. Batches are made before and are not in
the time; an average over whole rounds of what is updated at every fifth or second step. Preset nano, its own batch.
"""

from __future__ import annotations

import argparse
import time
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from flops import counter, matrix_rate
from reporting import row

from flashmotion import weights
from flashmotion.device import networks
from flashmotion.networks.attention import in_rows, suits
from flashmotion.networks.codec import PatchCodec
from flashmotion.networks.generator import BLOCKS, run_block
from flashmotion.precision import pick
from flashmotion.presets import preset as preset_of
from flashmotion.train import Options, make_stage, scenes
from flashmotion.training import data

STAGES = ("base", "slow-adapter", "fast-generator", "fast-adapter")
ROUND = 10  # steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stages", nargs="+", default=STAGES, choices=STAGES)
    asked = parser.parse_args()
    preset, options, dtype = preset_of("nano"), Options(Path("runs")), pick()
    codec, cache = weights.load(PatchCodec, preset.name, "codec"), options.folder / "cache"
    text, test = data.text_states(preset, cache), data.text_states(preset, cache, "test", 16)
    rate = matrix_rate(dtype)
    BLOCKS.compile()
    for name in asked.stages:
        stage = make_stage(name, preset, codec, dtype, test)
        batches = list(islice(data.loader(scenes(name, preset, options, text, None)), 2))
        taken, flops = measured(stage, batches, dtype)
        row(f"{name}: a step", taken, "s")
        row(f"{name}: the same at the matrix rate", flops / rate, "s")
        row(f"{name}: over the floor", taken * rate / flops, "x", "< 1.5")


def measured(stage: Any, batches: list[data.Batch], dtype: torch.dtype) -> tuple[float, float]:
    """Seconds and floating-point operations of a step, means over ROUND of them."""

    def steps(first: int) -> None:
        for k in range(first, first + ROUND):
            stage.step(k, batches[k % len(batches)], torch.Generator().manual_seed(k))

    with in_rows(*(networks(vars(stage)) if suits(dtype) else [])):
        steps(0)
        start = time.perf_counter()
        steps(ROUND)
        taken = (time.perf_counter() - start) / ROUND
    compiled, BLOCKS.run = BLOCKS.run, run_block  # the counter sees what is not compiled
    try:
        with counter() as counted:
            steps(2 * ROUND)
    finally:
        BLOCKS.run = compiled
    return taken, counted.get_total_flops() / ROUND


if __name__ == "__main__":
    main()
