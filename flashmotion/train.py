"""From a stage's name to a running trainer, and from its averages to shipped weights."""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from flashbench.errors import InputError
from flashbench.files.atomic import folder_lock, remove_leftovers
from flashmotion import device, precision, weights
from flashmotion.networks.attention import in_rows, suits
from flashmotion.networks.codec import PatchCodec
from flashmotion.networks.generator import BLOCKS
from flashmotion.presets import PRESETS
from flashmotion.presets.schema import Preset, Schedule
from flashmotion.training import data, fit, pool
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
    workers: int = 1  # processes that render
    report_to: str = "none"  # or "tensorboard"
    run: str | None = None  # name of the folder of checkpoints and logs, instead of the stage's
    warm: bool = False  # start from the exported weights of this very stage instead of anew
    device: str = "cpu"  # or "cuda", or "auto": CUDA where there is some
    fit: float | None = None  # minutes that the whole run is to take: sets the length of its schedule
    pool: bool = False  # render all scenes first and keep them on the device
    noise: str = "cpu"  # or "device": where noise is drawn


def schedule_of(preset: Preset, stage: str) -> Schedule:
    """How long a stage trains. Methods that update the adapter at every step make as many updates as stage 3."""
    field = STAGES[stage][2]
    if field:
        return getattr(preset, field)
    return dataclasses.replace(preset.fast_adapter, steps=preset.adapter_updates)


def with_schedule(preset: Preset, stage: str, **changes: int) -> Preset:
    """The preset with fields of a stage's schedule replaced."""
    field = STAGES[stage][2] or "fast_adapter"
    return dataclasses.replace(preset, **{field: dataclasses.replace(getattr(preset, field), **changes)})


def train(stage: str, preset: Preset, options: Options) -> None:
    """Trains one stage, resuming where it was, and exports its average to the shipped weights."""
    started = time.monotonic()
    if stage not in STAGES:
        raise InputError("STAGE", f"unknown stage {stage!r}", f"choose one of {', '.join(STAGES)}")
    if options.threads:
        torch.set_num_threads(options.threads)
    if stage == "codec":
        _codec(preset)
        return
    where = device.chosen(options.device)
    dtype = precision.pick(options.dtype, where.type)
    on = f"{torch.get_num_threads()} threads" if where.type == "cpu" else torch.cuda.get_device_name(where)
    print(f"{stage}: {str(dtype).removeprefix('torch.')} on {on}", file=sys.stderr, flush=True)
    if options.compile:
        BLOCKS.compile()
    torch.manual_seed(options.seed)
    codec = weights.load(PatchCodec, preset.name, "codec")
    cache = options.folder / "cache"
    text = data.text_states(preset, cache)
    test_text = data.text_states(preset, cache, "test", 16)
    # The processes that render are forked before there is anything on the device.
    rendered = pool.on_device(pool.rendered(preset, cache, options.workers), where) if options.pool else None
    made = make_stage(stage, preset, codec, dtype, test_text)
    parents = _warm(made, preset) if options.warm else {}
    device.place(made, where)
    alone = stage in ("base", "fast-generator")  # no adapter is involved
    folder = options.folder / preset.name / (options.run or (stage if alone else preset.part(stage)))
    config = {
        "stage": stage,
        "seed": options.seed,
        "dtype": str(dtype),
        "torch": torch.__version__,
        **({"device": on} if where.type != "cpu" else {}),
        **({"warm_from": parents} if parents else {}),
    }
    generator = device.DeviceNoise if options.noise == "device" else torch.Generator
    nets = device.networks(vars(made)) if suits(dtype, where) else []
    with folder_lock(folder), in_rows(*nets):
        remove_leftovers(folder)
        steps = fit.kept(folder, options.fit)
        if options.fit is not None:
            if steps is None:
                feed = _batches(scenes(stage, preset, options, text, rendered), options)
                speed = fit.measured(made, schedule_of(preset, stage), options.seed, feed, generator)
                steps = fit.steps(speed, 60 * options.fit - (time.monotonic() - started))
            preset = made.preset = with_schedule(preset, stage, steps=steps)
            config["fit"] = {"minutes": options.fit, "steps": steps}
        config["preset"] = dataclasses.asdict(preset)
        schedule = schedule_of(preset, stage)
        every = max(schedule.steps // 3, 1)
        trainer = Trainer(
            made,
            schedule,
            folder,
            options.seed,
            config,
            validate_every=every,
            report_to=options.report_to,
            generator=generator,
        )
        feed = _batches(scenes(stage, preset, options, text, rendered, trainer.done), options)
        complete = trainer.run(feed, options.minutes)
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
                **({"device": on} if where.type != "cpu" else {}),
                "date": time.strftime("%Y-%m-%d"),
                "validation": _last_validation(folder),
                "parameters": sum(q.numel() for q in net.parameters()),
            }
            print("exported", weights.export(net, preset.name, part, note), file=sys.stderr)


def scenes(
    stage: str, preset: Preset, options: Options, text: torch.Tensor, rendered: pool.Pool | None, first: int = 0
) -> data.Scenes:
    """What a stage is fed with from step `first` on."""
    schedule = schedule_of(preset, stage)
    share = {"base": 1.0, "slow-adapter": preset.mask_share}.get(stage, float(preset.condition == "masks"))
    seed, boxes_from = options.seed + DATA.get(stage, 4000), int(schedule.steps * share)
    if rendered is None:
        return data.Scenes(preset, text, schedule.batch, seed, boxes_from, first)
    return pool.Pooled(rendered, preset, text, schedule.batch, seed, boxes_from, first)


def _batches(scenes: data.Scenes, options: Options) -> Iterator[data.Batch]:
    """Batches in order of their step, on the device: rendered in processes, or gathered there."""
    if isinstance(scenes, pool.Pooled):
        return (scenes[i] for i in range(len(scenes)))
    where = device.chosen(options.device)
    return (device.placed(batch, where) for batch in data.loader(scenes, options.workers))


def make_stage(stage: str, preset: Preset, codec: PatchCodec, dtype: torch.dtype, test_text: torch.Tensor) -> Any:
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
    for option in ("steps", "batch") if STAGES[stage][2] else ("batch",):  # the others' steps follow from stage 3
        value = getattr(schedule_of(preset, stage), option)
        if value != getattr(schedule_of(named, stage), option):
            words.append(f"--{option} {value}")
    if options.dtype != "auto":
        words.append(f"--dtype {options.dtype}")
    if options.compile:
        words.append("--compile")
    if options.device != "cpu":
        words.append(f"--device {options.device}")
    if options.noise != "cpu":
        words.append(f"--noise {options.noise}")
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
