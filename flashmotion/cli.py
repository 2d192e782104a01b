"""The command `flashmotion`: arguments and printing, nothing else.

Exit codes: 0 done; 2 bad input, said in one line; 3 a collapsed training run; 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path

import click

from flashbench.command import SETTINGS, OneLineErrors
from flashbench.errors import InputError
from flashbench.memory import keep_freed

COLLAPSED = 3


@click.group("flashmotion", cls=OneLineErrors, context_settings=SETTINGS)
@click.version_option(package_name="flashbench")
def main() -> None:
    """Few-step trajectory-controllable video: train the three stages, make videos."""
    keep_freed()


@main.command()
@click.argument("stage")
@click.option("--preset", "preset_name", default="nano", show_default=True, help="Named configuration.")
@click.option(
    "--folder", default="training", show_default=True, type=click.Path(path_type=Path), help="Checkpoints and logs."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(min=0),
    help="Seed of scenes, noise and initial weights.",
)
@click.option(
    "--minutes", type=click.FloatRange(min=0), help="Stop (and save) after this time; the same command goes on later."
)
@click.option("--steps", type=click.IntRange(min=1), help="Length of the schedule, instead of the preset's.")
@click.option(
    "--fit",
    type=click.FloatRange(min=0, min_open=True),
    metavar="MINUTES",
    help="Set the length of the schedule so that it ends after this time, at the speed measured here.",
)
@click.option("--batch", type=click.IntRange(min=1), help="Samples a step, instead of the preset's.")
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    type=click.Choice(["auto", "cpu", "cuda"]),
    help="Where it trains; auto: on CUDA where there is some.",
)
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(min=0), help="Processes that render scenes."
)
@click.option("--pool", is_flag=True, help="Render all scenes first and keep them on the device (16 GB for nano).")
@click.option(
    "--noise",
    default="cpu",
    show_default=True,
    type=click.Choice(["cpu", "device"]),
    help="Where noise is drawn: the same numbers on every device, or faster.",
)
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads.")
@click.option(
    "--dtype",
    default="auto",
    type=click.Choice(["auto", "fp32", "bf16"]),
    show_default=True,
    help="Precision of the networks; auto: bf16 where the machine is fast at it.",
)
@click.option("--compile", "compiled", is_flag=True, help="Compile the blocks (needs a C++ compiler).")
@click.option(
    "--adapter",
    default="controlnet",
    show_default=True,
    type=click.Choice(["controlnet", "resnet"]),
    help="Kind of the trajectory adapter.",
)
@click.option("--set", "changes", multiple=True, metavar="FIELD=JSON", help="A field of the preset, for an experiment.")
@click.option(
    "--report-to",
    default="none",
    show_default=True,
    type=click.Choice(["tensorboard", "none"]),
    help="Where losses go besides log.csv.",
)
@click.option("--warm", is_flag=True, help="Start from this stage's exported weights instead of anew.")
@click.option("--run", "run_name", help="Name of this run's folder of checkpoints and logs, instead of the stage's.")
def train(
    stage: str,
    preset_name: str,
    folder: Path,
    seed: int,
    minutes: float | None,
    steps: int | None,
    fit: float | None,
    batch: int | None,
    device: str,
    workers: int,
    pool: bool,
    noise: str,
    threads: int | None,
    dtype: str,
    compiled: bool,
    adapter: str,
    changes: tuple[str, ...],
    report_to: str,
    warm: bool,
    run_name: str | None,
) -> int:
    """Train STAGE and export what it makes.

    The line is codec, base, slow-adapter, fast-generator, fast-adapter. What it is compared with: slow-tuned, lcm, dmd,
    diffusion-only, gan-only, fixed-lambda. Networks are exported into the package, or to $FLASHMOTION_WEIGHTS.
    """
    import dataclasses

    from flashmotion.presets import changed, preset
    from flashmotion.train import STAGES, Options, with_schedule
    from flashmotion.train import train as run
    from flashmotion.training.watch import Collapse

    if stage not in STAGES:
        raise InputError("STAGE", f"unknown stage {stage!r}", f"choose one of {', '.join(STAGES)}")
    chosen = changed(dataclasses.replace(preset(preset_name), adapter=adapter), changes)
    for option, value in (("--steps", steps), ("--fit", fit)):
        if value is not None and not STAGES[stage][2]:
            raise InputError(option, f"{stage} makes as many updates as stage 3", f"leave {option} out")
    for option, given in (("--batch", batch is not None), ("--device", device == "cuda"), ("--pool", pool)):
        if given and stage == "codec":
            raise InputError(option, "the codec is fitted on the CPU, in one go", f"leave {option} out")
    if steps is not None and fit is not None:
        raise InputError("--fit", "--steps gives a length too", "leave one of them out")
    if steps is not None:
        chosen = with_schedule(chosen, stage, steps=steps)
    if batch is not None:
        chosen = with_schedule(chosen, stage, batch=batch)
    options = Options(
        folder,
        seed,
        minutes,
        threads,
        dtype,
        compiled,
        workers,
        report_to,
        run_name,
        warm,
        device,
        fit,
        pool,
        noise,
    )
    try:
        run(stage, chosen, options)
    except Collapse as error:
        main.complain(str(error))
        return COLLAPSED
    return 0


@main.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--prompt", required=True, help="A sentence.")
@click.option(
    "--boxes",
    required=True,
    type=click.Path(path_type=Path),
    help='JSON: {"objects": [{"name", "keyframes": [{"frame", "box"}]}]}.',
)
@click.option("--model", default="flashmotion-4step", show_default=True, help="Row of the zoo.")
@click.option("--seed", default=0, show_default=True, help="Seed of the noise.")
@click.option(
    "-o",
    "--output",
    default="sample.mkv",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Video to write: .mkv is lossless, .mp4 plays everywhere.",
)
def sample(image: Path, prompt: str, boxes: Path, model: str, seed: int, output: Path) -> None:
    """Make a video from IMAGE (PNG), a prompt and box keyframes."""
    from flashbench.files.png import read_png
    from flashbench.files.video import write_mp4, write_video
    from flashmotion.conditioning import maps_of
    from flashmotion.keyframes import case_from_keyframes
    from flashmotion.presets import preset
    from flashmotion.rows import ROWS
    from flashmotion.zoo import load_pipeline

    writers = {".mkv": write_video, ".mp4": write_mp4}
    if output.suffix not in writers:
        raise InputError(output, "is no name of a video", f"end it with {' or '.join(writers)}")
    if model not in ROWS:
        raise InputError("--model", f"unknown model {model!r}", f"choose one of {', '.join(ROWS)}")
    p = preset(ROWS[model].preset)
    frame = read_png(image)
    if frame.shape[:2] != (p.size, p.size):
        raise InputError(
            image, f"is {frame.shape[1]}x{frame.shape[0]} px", f"{model} makes {p.size}x{p.size} px: scale the image"
        )
    case = case_from_keyframes(frame, prompt, boxes, p.frames, condition=p.condition)
    made = load_pipeline(model)(frame, prompt, maps_of(case), seed).frames
    writers[output.suffix](output, made, case.fps)
    click.echo(output)


if __name__ == "__main__":
    main()
