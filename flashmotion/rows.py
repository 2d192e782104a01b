"""The rows of the table by name, and which of them have weights: what can be told without loading torch."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flashmotion import weights


@dataclass(frozen=True)
class Row:
    """One row of the table: which networks, and how they are sampled.

    few: at the times of the preset's few-step list, or at `times` if there are any.
    """

    generator: str
    adapter: str
    steps: int
    few: bool
    guided: bool
    says: str
    preset: str = "nano"
    kind: str = "controlnet"
    times: tuple[float, ...] = ()


# name: generator, adapter, steps, few, guided, what it is
_TABLE: dict[str, tuple[str, str, int, bool, bool, str]] = {
    "slow-50step": ("slow-generator", "slow-adapter", 50, False, True, "SlowGenerator + SlowAdapter, the teacher"),
    "slow-4step": ("slow-generator", "slow-adapter", 4, False, True, "the teacher in 4 steps: failure mode (a)"),
    "plugged-4step": (
        "fast-generator", "slow-adapter", 4, True, False, "SlowAdapter on the FastGenerator: failure mode (b)",
    ),
    "slow-tuned-4step": (
        "slow-generator", "slow-tuned-adapter", 4, True, False, "SlowAdapter trained on at the four times: a control",
    ),
    "lcm-4step": ("lcm-generator", "lcm-adapter", 4, True, False, "generator and adapter distilled together, LCM"),
    "dmd-4step": ("dmd-generator", "dmd-adapter", 4, True, False, "generator and adapter distilled together, DMD"),
    "diffusion-only-4step": (
        "fast-generator", "diffusion-only-adapter", 4, True, False, "stage 3 without the GAN: failure mode (c)",
    ),
    "gan-only-4step": ("fast-generator", "gan-only-adapter", 4, True, False, "stage 3 without the diffusion loss"),
    "fixed-lambda-4step": ("fast-generator", "fixed-lambda-adapter", 4, True, False, "stage 3 with lambda = 1"),
    "flashmotion-4step": ("fast-generator", "fast-adapter", 4, True, False, "FastGenerator + FastAdapter (stage 3)"),
}  # fmt: skip


# The target sampled at other times than those that it was trained with. The paper's released code trains at the shifted
# list (t -> 5 t / (1 + 4 t)) and samples at the plain one.
_SAMPLED: dict[str, tuple[tuple[float, ...], str]] = {
    "flashmotion-1step": ((1.0,), "sampled in one step"),
    "flashmotion-2step": ((1.0, 0.5), "sampled in two steps"),
    "flashmotion-8step": (tuple(1 - k / 8 for k in range(8)), "sampled in eight steps"),
    "flashmotion-shifted-4step": ((1.0, 0.9375, 5 / 6, 0.625), "sampled at the times shifted by 5"),
}


def _rows() -> dict[str, Row]:
    """The table for each adapter; the ResNet adapter's rows carry its name: `flashmotion-resnet-4step`."""
    rows = {name: Row(*fields) for name, fields in _TABLE.items()}
    for name, (generator, adapter, *rest) in _TABLE.items():
        row, _, step = name.rpartition("-")
        other = f"{generator}-resnet" if generator in ("lcm-generator", "dmd-generator") else generator
        rows[f"{row}-resnet-{step}"] = Row(other, f"{adapter}-resnet", *rest, kind="resnet")  # type: ignore[arg-type]
    target = rows["flashmotion-4step"]
    for name, (times, says) in _SAMPLED.items():
        rows[name] = replace(target, steps=len(times), says=f"{target.says}, {says}", times=times)
    return rows


ROWS = _rows()


def lacking() -> dict[str, str]:
    """Rows that cannot be run yet -> why. `flashbench list models` asks (entry point group `flashbench.lacking`)."""
    out = {}
    for name, row in ROWS.items():
        parts = (row.generator, row.adapter, "codec")
        if absent := [part for part in parts if not (weights.folder(row.preset, part) / weights.FILE).exists()]:
            out[name] = f"no weights yet of {', '.join(absent)}: see `flashmotion train --help`"
    return out
