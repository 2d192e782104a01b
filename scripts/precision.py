"""How far numbers move with threads, batches, precision and instruction sets: writes docs/precision.md.

    python scripts/precision.py [--cases 12]

Twelve videos of the `cutout` baseline are scored again and again, each time with one thing changed, in a process of its
own with empty caches. Stages are compared on all videos, values on the whole set.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import pandas as pd

from flashbench.files.atomic import read_npz, write_npz, write_text

PAGE = Path(__file__).parent.parent / "docs" / "precision.md"
AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"
TORCH2 = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
TORCH0 = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2"}
NUMPY2 = {"NPY_DISABLE_CPU_FEATURES": AVX512, "OPENBLAS_CORETYPE": "Haswell"}
OPENCV2 = {"OPENCV_CPU_DISABLE": "AVX512_SKX,AVX512-SKX"}
OPENCV0 = {"OPENCV_CPU_DISABLE": "AVX512_SKX,AVX512-SKX,AVX2,FMA3,AVX"}
CHANGES: dict[str, tuple[str, dict[str, str], list[str]]] = {
    "base": ("as `flashbench score` does it: one thread a process, float32", {}, []),
    "again": ("the same once more", {}, []),
    "threads": ("two threads to every call", {}, ["--threads", "2"]),
    "batch": ("every frame and window in a batch of its own", {}, ["--batch", "1"]),
    "torch-avx2": ("torch, oneDNN and MKL held to AVX2", TORCH2, []),
    "torch-sse": ("torch, oneDNN and MKL held to SSE4", TORCH0, []),
    "numpy-avx2": ("NumPy and OpenBLAS held to AVX2", NUMPY2, []),
    "opencv-avx2": ("OpenCV held to AVX2", OPENCV2, []),
    "opencv-sse": ("OpenCV held to SSE", OPENCV0, []),
    "avx2": ("everything held to AVX2: another machine", {**TORCH2, **NUMPY2, **OPENCV2}, []),
    "bf16": ("networks in bf16 (offered nowhere: what it would do)", {}, ["--bf16"]),
}
# Of measured arrays, what is compared, by stage.
STAGES = {
    "tracking: centres, px": ("lk", "centres"),
    "tracking: masks, share of pixels": ("lk", "masks"),
    "I3D features": ("i3d", "features"),
    "Lite0 features": ("lite0", "frames"),
    "ST-LPIPS distances": ("stlpips", "distances"),
    "text_lit frames": ("text_lit", "frames"),
    "PSNR, dB": ("pixels", "psnr"),
    "SSIM": ("pixels", "ssim"),
}


LOOKED_AT = 60  # the frame that is resized


@click.group(invoke_without_command=True)
@click.option("--cases", default=12, help="Videos that are scored.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where measurements are kept; what is there is not made again."
)
@click.pass_context
def main(context: click.Context, cases: int, folder: Path | None) -> None:
    """Measures and writes the page."""
    if context.invoked_subcommand is not None:
        return
    with tempfile.TemporaryDirectory() as name:
        folder = folder or Path(name)
        flashbench = [sys.executable, "-m", "flashbench.cli"]
        suite = ["build", "sprites-v1", "--cases", str(cases), "--seed", "5", "-o", folder / "suite"]
        run = ["generate", "--model", "cutout", "--suite", folder / "suite", "-o", folder / "made"]
        for command, made in ((suite, folder / "suite"), (run, folder / "made")):
            if not made.exists():
                subprocess.run([*flashbench, *map(str, command)], check=True)
        values, stages = {}, {}
        for key, (says, env, options) in CHANGES.items():
            click.echo(f"{key}: {says}", err=True)
            arrays = folder / f"{key}.npz"
            again = [sys.executable, __file__, "worker", str(folder / key), str(arrays), *options]
            if not arrays.exists():
                shutil.copytree(folder / "made", folder / key, dirs_exist_ok=True)
                subprocess.run(again, check=True, env=os.environ | env)
            results = pd.read_csv(folder / key / "results.csv")
            values[key] = results[results.stratum == "all"].set_index("metric")
            stages[key] = read_npz(arrays)
        write_text(PAGE, page(cases, values, stages))


@main.command(hidden=True)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--threads", default=1)
@click.option("--batch", default=0)
@click.option("--bf16", is_flag=True)
def worker(run: Path, out: Path, threads: int, batch: int, bf16: bool) -> None:
    """Scores RUN with one thing changed, and writes what each stage gave to OUT."""
    import cv2
    import torch

    from flashbench.backbones import lite0, parts, stlpips
    from flashbench.backbones.parts import squash
    from flashbench.cases.suites import open_suite
    from flashbench.files.video import read_video
    from flashbench.metrics.catalogue import choose
    from flashbench.metrics.protocol import Arrays, Extractor
    from flashbench.runs.extractors import extractors
    from flashbench.runs.layout import RunFolder, read_run
    from flashbench.runs.score import score

    if bf16:  # torch.autocast does not reach `convolve`'s oneDNN call; NumPy has no bf16
        parts.ONEDNN = False
        numpy = torch.Tensor.numpy
        torch.Tensor.numpy = lambda x, **how: numpy(x.float() if x.dtype == torch.bfloat16 else x, **how)  # type: ignore[method-assign]
    if batch:
        lite0.CHUNK = stlpips.CHUNK = batch
    kept: Arrays = {}

    def changed(extractor: Extractor) -> Extractor:
        plain = extractor.measure

        def measure(video: npt.NDArray[np.uint8], case: Any, reference: npt.NDArray[np.uint8]) -> Arrays:
            torch.set_num_threads(threads)
            cv2.setNumThreads(threads)
            with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
                found = plain(video, case, reference)
            for stage, (name, array) in STAGES.items():
                if name == extractor.name and video is not reference:
                    kept[f"{stage}/{case.id}"] = np.asarray(found[array])
            return found

        extractor.measure = measure  # type: ignore[method-assign]
        return extractor

    info = read_run(run)
    suite = open_suite(info.source)
    wanted = choose(None, suite.pictures)
    score(
        RunFolder(run), info, suite, wanted, workers=1, cache=run / "cache",
        make=lambda names: {name: changed(e) for name, e in extractors(names).items()},
    )  # fmt: skip
    for case_id in suite.case_ids:
        video = read_video(RunFolder(run).video(case_id))
        kept[f"decoding/{case_id}"] = video[1:]
        kept[f"resizing to 224/{case_id}"] = squash(torch.from_numpy(video[LOOKED_AT : LOOKED_AT + 1]), 224).numpy()
    write_npz(out, **kept)


def page(cases: int, values: dict[str, pd.DataFrame], stages: dict[str, dict[str, npt.NDArray[Any]]]) -> str:
    """The whole of docs/precision.md."""
    others = [key for key in CHANGES if key != "base"]
    names = ["decoding", "resizing to 224", *STAGES]
    lines = [
        "# Precision",
        "",
        "Written by `python scripts/precision.py`. Do not edit.",
        "",
        f"{cases} videos of the `cutout` baseline (`sprites-v1`, seed 5) and their references, scored again with one "
        f"thing changed, on {machine()}",
        "",
        *(f"- `{key}`: {says}." for key, (says, _, _) in CHANGES.items()),
        "",
        "## Stages",
        "",
        "Largest difference from `base` over all videos, relative to the root mean square of the stage (of masks: "
        "share of all pixels). 0: the same bits.",
        "",
        row(["stage", *(f"`{k}`" for k in others)]),
        row(["-"] * (len(others) + 1)),
    ]
    for name in names:
        lines.append(row([name, *(shown(apart(name, stages["base"], stages[key])) for key in others)]))
    lines += [
        "",
        "## Values",
        "",
        "Change of the value of all videos, as a part of the metric's floor (where it has none, or 0: of the value).",
        "",
        row(["metric", "value", "floor", *(f"`{k}`" for k in others)]),
        row(["-"] * (len(others) + 3)),
    ]
    large = []
    for metric, base in values["base"].iterrows():
        if metric == "seconds":
            continue
        scale = abs(base.floor) if math.isfinite(base.floor) and base.floor != 0 else abs(base.value) or 1.0
        parts = {key: abs(values[key].loc[metric].value - base.value) / scale for key in others}
        large += [f"`{metric}` with `{key}`: {part:.2g}" for key, part in parts.items() if part > 0.1]
        lines.append(row([f"`{metric}`", f"{base.value:.5g}", f"{base.floor:.5g}", *map(shown, parts.values())]))
    lines += ["", "More than a tenth of the floor: " + ("; ".join(large) if large else "none") + "."]
    return "\n".join(lines) + "\n"


def apart(name: str, base: dict[str, npt.NDArray[Any]], other: dict[str, npt.NDArray[Any]]) -> float:
    """Largest difference relative to the root mean square; of bool: the share that differs."""
    keys = [key for key in base if key.startswith(f"{name}/")]
    pairs = [(base[key], other[key]) for key in keys]
    if pairs[0][0].dtype == np.bool_:
        return float(np.mean([np.mean(a != b) for a, b in pairs]))
    pairs = [(a.astype(np.float64), b.astype(np.float64)) for a, b in pairs]
    largest = max(float(np.nanmax(np.abs(a - b))) for a, b in pairs)
    return largest / math.sqrt(np.mean([np.nanmean(a**2) for a, _ in pairs]))


def shown(part: float) -> str:
    return "0" if part == 0 else f"{part:.1e}"


def row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def machine() -> str:
    """The processor and the versions that matter."""
    from flashbench.runs import provenance

    facts = provenance.environment()
    packages = ", ".join(f"{p} {facts['packages'][p]}" for p in ("numpy", "torch", "opencv-python-headless", "av"))
    return f"{facts['cpu']['model']} ({facts['cpu']['flags']}), {packages}."


if __name__ == "__main__":
    main()
