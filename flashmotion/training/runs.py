"""From a stage's name to a running trainer, and from its averages to shipped weights."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from flashbench.errors import InputError
from flashbench.files.atomic import folder_lock, remove_leftovers
from flashmotion import weights
from flashmotion.networks.codec import PatchCodec
from flashmotion.networks.generator import BLOCKS
from flashmotion.presets.schema import Preset
from flashmotion.training import data, precision
from flashmotion.training.trainer import Trainer

STAGES = ("codec", "base", "slow-adapter", "fast-generator", "fast-adapter")


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line sets. `folder` holds checkpoints and logs; minutes None: until the schedule ends."""

    folder: Path
    seed: int = 0
    minutes: float | None = None
    threads: int | None = None
    dtype: str = "auto"
    compile: bool = False
    workers: int = 1


def train(stage: str, preset: Preset, options: Options) -> None:
    """Trains one stage, resuming where it was, and exports its average to the shipped weights."""
    if options.threads:
        torch.set_num_threads(options.threads)
    if stage == "codec":
        _codec(preset)
        return
    dtype = precision.pick(options.dtype)
    print(
        f"{stage}: {str(dtype).removeprefix('torch.')} on {torch.get_num_threads()} threads",
        file=sys.stderr,
        flush=True,
    )
    if options.compile:
        BLOCKS.compile()
    torch.manual_seed(options.seed)
    codec = weights.load(PatchCodec, preset.name, "codec")
    cache = options.folder / "cache"
    text = data.text_states(preset, cache)
    test_text = data.text_states(preset, cache, "test", 16)
    made = _stage(stage, preset, codec, dtype, test_text)
    schedule = getattr(preset, stage.replace("-", "_"))
    folder = options.folder / preset.name / stage
    config = {
        "stage": stage,
        "seed": options.seed,
        "preset": dataclasses.asdict(preset),
        "dtype": str(dtype),
        "torch": torch.__version__,
    }
    with folder_lock(folder):
        remove_leftovers(folder)
        trainer = Trainer(made, schedule, folder, options.seed, config, validate_every=max(schedule.steps // 3, 1))
        share = {"base": 1.0, "slow-adapter": preset.mask_share}.get(stage, float(preset.condition == "masks"))
        boxes_from = int(schedule.steps * share)
        scenes = data.Scenes(
            preset, text, schedule.batch, options.seed + 1000 * STAGES.index(stage), boxes_from, trainer.done
        )
        complete = trainer.run(data.loader(scenes, options.workers), options.minutes)
        for part, net in made.products(trainer.averages).items():
            note = {
                "command": f"flashmotion train {stage} --preset {preset.name} --seed {options.seed}",
                "steps": trainer.done,
                "of": schedule.steps,
                "seconds": round(trainer.seconds),
                "batch": schedule.batch,
                "complete": complete,
                "precision": config["dtype"],
                "date": time.strftime("%Y-%m-%d"),
                "validation": _last_validation(folder),
                "parameters": sum(q.numel() for q in net.parameters()),
            }
            print("exported", weights.export(net, preset.name, part, note), file=sys.stderr)


def _stage(stage: str, preset: Preset, codec: PatchCodec, dtype: torch.dtype, test_text: torch.Tensor) -> Any:
    if stage == "base":
        from flashmotion.stages.base import Base

        return Base(preset, codec, dtype, test_text)
    if stage == "slow-adapter":
        from flashmotion.stages.slow_adapter import SlowAdapter

        return SlowAdapter(preset, codec, dtype, test_text)
    if stage == "fast-generator":
        from flashmotion.stages.fast_generator import FastGenerator

        return FastGenerator(preset, codec, dtype, test_text)
    if stage == "fast-adapter":
        from flashmotion.stages.fast_adapter import FastAdapter

        return FastAdapter(preset, codec, dtype, test_text)
    raise InputError("STAGE", f"unknown stage {stage!r}", f"choose one of {', '.join(STAGES)}")


def _last_validation(folder: Path) -> dict[str, float]:
    import pandas as pd

    path = folder / "validation.csv"
    return {} if not path.exists() else json.loads(pd.read_csv(path).iloc[-1].to_json())


def _codec(preset: Preset) -> None:
    from flashmotion.stages.codec import fit, reconstruction_psnr

    started = time.monotonic()
    codec = fit(preset)
    note = {
        "command": f"flashmotion train codec --preset {preset.name}",
        "seconds": round(time.monotonic() - started),
        "date": time.strftime("%Y-%m-%d"),
        "validation": {"psnr_test": reconstruction_psnr(codec, preset, 100)},
    }
    print(
        "exported",
        weights.export(codec, preset.name, "codec", note, torch.float32),
        note["validation"],
        file=sys.stderr,
    )
