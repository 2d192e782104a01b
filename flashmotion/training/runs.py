"""From a stage's name to a running trainer, and from its averages to shipped weights."""

from __future__ import annotations

import dataclasses
import importlib
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
from flashmotion.presets import PRESETS
from flashmotion.presets.schema import Preset, Schedule
from flashmotion.training import data, precision
from flashmotion.training.trainer import Trainer

# Stage -> module, class and the field of the preset that holds its schedule; data are numbered by `DATA`.
STAGES = {
    "codec": ("codec", "", ""),
    "base": ("base", "Base", "base"),
    "slow-adapter": ("slow_adapter", "SlowAdapter", "slow_adapter"),
    "fast-generator": ("fast_generator", "FastGenerator", "fast_generator"),
    "fast-adapter": ("fast_adapter", "FastAdapter", "fast_adapter"),
    "gan-only": ("gan_only", "GanOnly", "fast_adapter"),
    "fixed-lambda": ("fixed_lambda", "FixedLambda", "fast_adapter"),
    "dmd": ("dmd", "Dmd", "fast_adapter"),
    "diffusion-only": ("diffusion_only", "DiffusionOnly", ""),
    "slow-tuned": ("slow_tuned", "SlowTuned", ""),
    "lcm": ("lcm", "Lcm", ""),
}
DATA = {"base": 1000, "slow-adapter": 2000, "fast-generator": 3000}  # all that is compared with stage 3 sees 4000


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
    report_to: str = "none"  # or "tensorboard"
    run: str | None = None  # name of the folder of checkpoints and logs, instead of the stage's
    warm: bool = False  # start from the exported weights of this very stage instead of anew


def schedule_of(preset: Preset, stage: str) -> Schedule:
    """How long a stage trains. Methods that update the adapter at every step make as many updates as stage 3."""
    field = STAGES[stage][2]
    if field:
        return getattr(preset, field)
    return dataclasses.replace(preset.fast_adapter, steps=preset.adapter_updates)


def train(stage: str, preset: Preset, options: Options) -> None:
    """Trains one stage, resuming where it was, and exports its average to the shipped weights."""
    if stage not in STAGES:
        raise InputError("STAGE", f"unknown stage {stage!r}", f"choose one of {', '.join(STAGES)}")
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
    parents = _warm(made, preset) if options.warm else {}
    schedule = schedule_of(preset, stage)
    alone = stage in ("base", "fast-generator")  # no adapter is involved
    folder = options.folder / preset.name / (options.run or (stage if alone else preset.part(stage)))
    config = {
        "stage": stage,
        "seed": options.seed,
        "preset": dataclasses.asdict(preset),
        "dtype": str(dtype),
        "torch": torch.__version__,
        **({"warm_from": parents} if parents else {}),
    }
    with folder_lock(folder):
        remove_leftovers(folder)
        every = max(schedule.steps // 3, 1)
        trainer = Trainer(
            made, schedule, folder, options.seed, config, validate_every=every, report_to=options.report_to
        )
        share = {"base": 1.0, "slow-adapter": preset.mask_share}.get(stage, float(preset.condition == "masks"))
        boxes_from = int(schedule.steps * share)
        scenes = data.Scenes(
            preset, text, schedule.batch, options.seed + DATA.get(stage, 4000), boxes_from, trainer.done
        )
        complete = trainer.run(data.loader(scenes, options.workers), options.minutes)
        for part, net in made.products(trainer.averages).items():
            note = {
                "command": _command(stage, preset, options),
                **({"warm_from": parents[part]} if parents else {}),
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
    module, name, _ = STAGES[stage]
    return getattr(importlib.import_module(f"flashmotion.stages.{module}"), name)(preset, codec, dtype, test_text)


def _warm(made: Any, preset: Preset) -> dict[str, dict[str, Any]]:
    """Puts exported weights into a stage's networks. Returns what is known of them, by part: hash, steps, ancestors."""
    parents = {}
    for part, net in made.products(made.nets).items():
        own, theirs = net.state_dict(), weights.load(type(net), preset.name, part).state_dict()
        for name, value in theirs.items():
            own[name][: len(value)] = value  # outputs that an older network did not have stay as they are made
        net.load_state_dict(own)
        manifest = weights.manifest(preset.name, part)
        parents[part] = {k: manifest[k] for k in ("sha256", "command", "steps", "warm_from") if k in manifest}
    return parents


def _command(stage: str, preset: Preset, options: Options) -> str:
    """The command that makes this again, with what differs from the named preset."""
    words = [f"flashmotion train {stage} --preset {preset.name} --seed {options.seed}"]
    named = PRESETS.get(preset.name, preset)
    for field in dataclasses.fields(Preset):
        value, usual = getattr(preset, field.name), getattr(named, field.name)
        if value != usual and field.name == "adapter":
            words.append(f"--adapter {value}")
        elif value != usual and not isinstance(value, Schedule):
            words.append(f"--set {field.name}={json.dumps(value, separators=(',', ':'))}")
    if options.warm:
        words.append("--warm")
    return " ".join(words)


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
