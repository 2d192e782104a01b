"""What the rows of leaderboards/sprites-v1.csv must show if the numbers mean anything; nothing is run.

Controls that do not follow (`static`, `shuffled`) are far worse on trajectory than every model: `epe_lk` of the better
of the two over that of the worst model. `static` is far worse than `reference` on `fvd_i3d`: the reference against
itself is 0, so the floor stands in, one half of the references against the other (at half n, so biased upwards). The
slow model follows: its `epe_lk_excess`, what the tracker's own error is taken from, over that of `static`, by number
of objects.
"""

from __future__ import annotations

import csv
from pathlib import Path

from reporting import row

CSV = Path(__file__).parent.parent / "leaderboards" / "sprites-v1.csv"
CONTROLS = ("static", "shuffled")
MODELS = ("slow-50step", "slow-4step", "plugged-4step", "flashmotion-4step")
STRATA = ("1", "2", "3")


def main() -> None:
    with CSV.open(newline="", encoding="utf-8") as file:
        held = {(r["model"], r["metric"], r["stratum"]): r for r in csv.DictReader(file)}

    def value(model: str, metric: str, stratum: str = "all", field: str = "value") -> float:
        return float(held[model, metric, stratum][field])

    better, worst = min(value(c, "epe_lk") for c in CONTROLS), max(value(m, "epe_lk") for m in MODELS)
    row("epe_lk, better of static and shuffled over the worst model", better / worst, "x", "> 2")
    floor = value("reference", "fvd_i3d", field="floor")
    row("fvd_i3d of static over the floor", value("static", "fvd_i3d") / floor, "x", "> 1")
    for stratum in STRATA:
        slow, still = (value(m, "epe_lk_excess", stratum) for m in ("slow-50step", "static"))
        plural = "object" if stratum == "1" else "objects"
        row(f"epe_lk_excess of slow-50step over static's, {stratum} {plural}", slow / still, "x", "< 0.5")


if __name__ == "__main__":
    main()
