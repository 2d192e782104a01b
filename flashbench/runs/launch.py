"""A run as jobs of a cluster: each generates and measures its shard in the shared folder (`submitit`, extra `[slurm]`).

A job that is preempted or runs out of time is put into the queue again and goes on where it was: a shard keeps all that
it finished. Putting together is not a job: whoever launched waits, and scores the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from flashbench.errors import InputError


def logs_of(run: Path) -> Path:
    """Folder for what the jobs of a run say, beside it."""
    return run.with_name(f"{run.name}.jobs")


@dataclass(frozen=True)
class Work:
    """What one job does. The fields are the options of `flashbench eval`."""

    model: str
    suite: str
    cases: int | None
    seed: int
    output: Path
    metrics: tuple[str, ...]
    weights: Mapping[str, str]
    workers: int | None
    conform: bool

    def __call__(self, shard: str) -> list[str]:
        """Generates and measures a shard `i/n`; returns the ids of its cases that failed."""
        from flashbench.cases.suites import open_suite
        from flashbench.metrics.catalogue import choose
        from flashbench.runs.session import generate_run, score_run
        from flashbench.runs.shard import parse

        wanted, part = choose(list(self.metrics), open_suite(self.suite).pictures), parse(shard)
        made = generate_run(
            self.model, self.suite, self.cases, self.seed, self.output, metrics=wanted, shard=part,
            conformed=self.conform,
        )  # fmt: skip
        score_run(made.root, wanted, made.suite, self.workers, shard=part, weights=self.weights)
        return made.failed

    def checkpoint(self, shard: str) -> Any:
        """Asked by submitit when the job is to end early: the same again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, shard)


class Launched(NamedTuple):
    """Ids of the cases that failed, and a line for each job that did not end well, with the file of its log."""

    failed: list[str]
    lost: list[str]


def launch(work: Work, launcher: str, jobs: int, settings: Mapping[str, str]) -> Launched:
    """Submits a job array and waits for it.

    Args:
        launcher: `slurm`, or `local`: processes of this machine.
        jobs: number of shards, at least 2.
        settings: options of sbatch by their long names, `partition`, `time` (minutes), `gres`, `cpus_per_task`, ...

    Returns:
        What came of it; `lost` is empty where every shard is done.

    Raises:
        InputError: submitit is missing, no such launcher on this machine, or an option that it does not know.
    """
    try:
        import submitit
    except ImportError as error:
        raise InputError("--launcher", "needs the package submitit", "pip install 'flashbench[slurm]'") from error
    if jobs < 2:
        raise InputError("--jobs", f"is {jobs}", "give at least 2, or leave --launcher out")
    try:
        executor = submitit.AutoExecutor(folder=logs_of(work.output), cluster=launcher)
    except RuntimeError as error:
        raise InputError(f"--launcher {launcher}", f"cannot be used here: {error}", "run it where sbatch is") from error
    options: dict[str, Any] = {f"slurm_{k}": int(v) if v.isdecimal() else v for k, v in settings.items()}
    if launcher == "slurm":
        options["slurm_additional_parameters"] = {"requeue": True}
    try:
        executor.update_parameters(name="flashbench", **options)
    except (NameError, ValueError) as error:
        raise InputError("--slurm", " ".join(str(error).split()), "give options of sbatch by long names") from error
    submitted = executor.map_array(work, [f"{i}/{jobs}" for i in range(jobs)])
    failed, lost = [], []
    for job in submitted:
        try:
            failed += job.result()
        except Exception as error:  # whatever a job died of
            trace = str(error).partition("You can check full logs")[0].strip("-\n ").splitlines()
            lost.append(f"job {job.job_id}: {trace[-1] if trace else type(error).__name__} ({job.paths.stderr})")
    return Launched(failed, lost)
