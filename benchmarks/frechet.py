"""Time and accuracy of `frechet_distance` against the usual ways to take the trace of (S_x S_y)^{1/2}.

    python benchmarks/frechet.py [--csv FILE] [--repeat 3] [--limit 20] [--dims 400 ...] [--rows 48 ...] [--methods ...]

`sqrtm` is SciPy's Schur method on S_x S_y (pytorch-fid, clean-fid); `eigvals` the general eigenvalues of S_x S_y
(torchmetrics); `eigh` the symmetric form S_x^{1/2} S_y S_x^{1/2} (TF-GAN). `error` is relative to the nuclear norm of
S_x^{1/2} S_y^{1/2}, formed in float64 from the singular vectors of the features: it never squares them.
`self` is FD(X, X) / tr S_x, which should be 0. `eigvals` takes minutes where rows are fewer than features.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy
from reporting import row as report
from scipy import linalg

from flashbench.metrics.frechet import covariance_trace, frechet_distance

Array = npt.NDArray[np.float64]
Distance = Callable[[Array, Array], float]


def by_covariance(trace_of_root: Callable[[Array, Array], float]) -> Distance:
    def distance(x: Array, y: Array) -> float:
        sx, sy = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
        shift = float(np.sum((x.mean(0) - y.mean(0)) ** 2))
        return shift + float(np.trace(sx) + np.trace(sy)) - 2 * trace_of_root(sx, sy)

    return distance


def root_by_sqrtm(sx: Array, sy: Array) -> float:
    return float(np.trace(linalg.sqrtm(sx @ sy)).real)


def root_by_eigvals(sx: Array, sy: Array) -> float:
    return float(np.sqrt(linalg.eigvals(sx @ sy).astype(complex)).real.sum())


def root_by_eigh(sx: Array, sy: Array) -> float:
    values, vectors = linalg.eigh(sx)
    half = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return float(np.sqrt(np.maximum(linalg.eigvalsh(half @ sy @ half), 0)).sum())


def reference(x: Array, y: Array) -> float:
    """Slow and exact to float64: S^{1/2} = V diag(s) V' from A = U diag(s) V', then one D x D singular value sum."""
    roots, total = [], float(np.sum((x.mean(0) - y.mean(0)) ** 2))
    for features in (x, y):
        a = (features - features.mean(0)) / np.sqrt(len(features) - 1)
        _, s, vt = linalg.svd(a, full_matrices=False)
        roots.append((vt.T * s) @ vt)
        total += float(np.sum(s**2))
    return total - 2 * float(linalg.svdvals(roots[0] @ roots[1]).sum())


METHODS: dict[str, Distance] = {
    "nuclear": frechet_distance,
    "sqrtm": by_covariance(root_by_sqrtm),
    "eigvals": by_covariance(root_by_eigvals),
    "eigh": by_covariance(root_by_eigh),
}


def samples(rows: int, dim: int) -> tuple[Array, Array]:
    """Two sets of Gaussian features with covariance eigenvalues 1/k, as those of networks roughly are, one shifted."""
    rng = np.random.default_rng([rows, dim])
    scale = 1 / np.sqrt(np.arange(1, dim + 1))
    return rng.normal(size=(rows, dim)) * scale, rng.normal(size=(rows, dim)) * scale * 1.2 + 0.05


def fastest(run: Callable[[], float], repeat: int, limit: float) -> tuple[float, float]:
    """(value, least seconds) of up to `repeat` runs; no further run once `limit` seconds have been spent."""
    spent: list[float] = []
    value = float("nan")
    while len(spent) < repeat and sum(spent) < limit:
        start = time.perf_counter()
        value = run()
        spent.append(time.perf_counter() - start)
    return value, min(spent)


def measure(dim: int, rows: int, methods: list[str], repeat: int, limit: float) -> list[dict[str, Any]]:
    """One row a method; `self` is left NaN for a method that takes longer than `limit`."""
    x, y = samples(rows, dim)
    truth, trace = reference(x, y), covariance_trace(x)
    out: list[dict[str, Any]] = []
    for name in methods:
        distance = METHODS[name]
        value, seconds = fastest(partial(distance, x, y), repeat, limit)
        itself = distance(x, x) / trace if seconds < limit else float("nan")
        row = {"dim": dim, "rows": rows, "method": name, "seconds": seconds}
        out.append({**row, "error": abs(value - truth) / truth, "self": itself})
    sqrtm = next((row["seconds"] for row in out if row["method"] == "sqrtm"), float("nan"))
    eigvals = next((row["seconds"] for row in out if row["method"] == "eigvals"), float("nan"))
    return [
        {**row, "times_faster_than_sqrtm": sqrtm / row["seconds"], "than_eigvals": eigvals / row["seconds"]}
        for row in out
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", help="write the rows to this file")
    parser.add_argument("--repeat", type=int, default=3, help="runs a method (the fastest counts)")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds after which a method is not repeated")
    parser.add_argument("--dims", type=int, nargs="+", default=[400, 1280, 2048])
    parser.add_argument("--rows", type=int, nargs="+", default=[48, 256, 2048])
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    args = parser.parse_args()

    print(f"numpy {np.__version__}, scipy {scipy.__version__}")
    print(f"{'D':>5} {'N':>5} {'method':>8} {'seconds':>9} {'x sqrtm':>8} {'error':>9} {'self':>9}")
    rows: list[dict[str, Any]] = []
    for dim in args.dims:
        for n in args.rows:
            for row in measure(dim, n, args.methods, args.repeat, args.limit):
                rows.append(row)
                print(
                    f"{dim:5d} {n:5d} {row['method']:>8} {row['seconds']:9.4f} {row['times_faster_than_sqrtm']:8.1f} "
                    f"{row['error']:9.1e} {row['self']:9.1e}",
                    flush=True,
                )
    for row in rows:
        if row["method"] == "nuclear":
            at, goal = f"D={row['dim']} N={row['rows']}", (row["dim"], row["rows"]) == (1280, 256)
            report(f"{at}: frechet_distance", row["seconds"], "s")
            report(f"{at}: times faster than sqrtm", row["times_faster_than_sqrtm"], "x", ">= 50" if goal else "")
            report(f"{at}: times faster than eigvals (torchmetrics)", row["than_eigvals"], "x", ">= 1")
            report(f"{at}: relative error", row["error"], "", "<= 1e-9" if goal else "")
            report(f"{at}: FD(X, X) / tr S", row["self"], "", "< 1e-12")
    if args.csv:
        with open(args.csv, "w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
