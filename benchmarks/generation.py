"""A video of the four-step and of the fifty-step row, beside the floor of their networks.

The floor is the arithmetic of generator, adapter, codec and prompt encoder (counted by torch) at the rate of a large
matrix product on all cores in the same precision. Of the fifty steps four are made and counted; the time of a step is
what is compared. Decoding is the codec's way from latents to pixels. Models are loaded and warm; medians of three.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from flops import counter, matrix_rate
from reporting import row

from flashbench.cases.suites import open_suite
from flashmotion.conditioning import maps_of
from flashmotion.networks.codec import to_latents, to_video
from flashmotion.pipeline import FlashMotionPipeline
from flashmotion.precision import pick
from flashmotion.zoo import load_pipeline

STEPS = 4
ROWS = ("flashmotion-4step", "slow-50step")


def seconds(work: Callable[[], object], times: int = 3) -> float:
    """Median time of a piece of work that is done once before."""
    work()
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


@torch.inference_mode()
def decoding(codec: torch.nn.Module, video: npt.NDArray[np.uint8]) -> float:
    """Seconds to bring the latents of a video back to pixels."""
    latents = to_latents(codec, torch.from_numpy(video)[None])
    return seconds(lambda: to_video(codec, latents))


def main() -> None:
    suite = open_suite("sprites-v1")
    case = suite.load_case(suite.case_ids[2]).asked()
    maps, rate = maps_of(case), matrix_rate(pick())
    row("rate of a matrix product in the precision used", rate / 1e9, "GFLOP/s")
    for name in ROWS:
        pipeline: FlashMotionPipeline = load_pipeline(name)
        pipeline.register_to_config(steps=STEPS)

        def make(pipeline: FlashMotionPipeline = pipeline) -> object:
            return pipeline(case.first_frame, case.prompt, maps, 0)

        taken = seconds(make)
        with counter() as counted:
            make()
        least = counted.get_total_flops() / rate
        row(f"{name}, {STEPS} steps, decoding included", taken, "s")
        row(f"{name}, the same at the matrix rate", least, "s")
        row(f"{name}, over the floor", taken / least, "x")
        if pipeline.config.few_steps is not None:
            row(f"{name}, share of decoding", 100 * decoding(pipeline.codec, maps) / taken, "%")


if __name__ == "__main__":
    main()
