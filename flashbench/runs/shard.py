"""Part of a run: cases i, i + n, i + 2n, ... of a suite, for several processes on one shared folder.

No process waits for another. What each makes are files of their own; a final `flashbench score` of the whole puts them
together and refuses what is missing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flashbench.errors import InputError

# (number of this process, number of all, variable that holds the lowest number): torchrun and MPI launchers; Slurm.
VARIABLES = (("RANK", "WORLD_SIZE", ""), ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"))


@dataclass(frozen=True)
class Shard:
    """Process number `index` (from 0) of `count`."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}-of-{self.count}"

    def of(self, case_ids: Sequence[str]) -> tuple[str, ...]:
        """The cases of this process. Every case belongs to exactly one; strata are spread evenly."""
        return tuple(case_ids[self.index :: self.count])


WHOLE = Shard(0, 1)


def parse(text: str) -> Shard:
    """A shard from `i/n`, i from 0 to n - 1.

    Raises:
        InputError: anything else.
    """
    index, slash, count = text.partition("/")
    if not slash or not (index.isdecimal() and count.isdecimal()) or not int(index) < int(count):
        raise InputError("--shard", f"is {text!r}", "write i/n with i from 0 to n - 1: 0/4, 1/4, 2/4, 3/4")
    return Shard(int(index), int(count))


def from_environment(environ: Mapping[str, str] = os.environ) -> Shard:
    """The shard that a launcher gave this process: RANK and WORLD_SIZE, or Slurm's array; the whole without one.

    Raises:
        InputError: one variable of a pair without the other, or numbers that do not fit.
    """
    for index, count, lowest in VARIABLES:
        if index not in environ and count not in environ:
            continue
        try:
            first = int(environ.get(lowest) or 0) if lowest else 0
            shard = Shard(int(environ[index]) - first, int(environ[count]))
        except (KeyError, ValueError) as error:
            what = f"{index}={environ.get(index)!r}, {count}={environ.get(count)!r}"
            raise InputError("environment", what, "set both to whole numbers, unset both, or give --shard") from error
        if not 0 <= shard.index < shard.count:
            what = f"{index}={environ[index]} is not below {count}={environ[count]}"
            raise InputError("environment", what, "number array jobs without gaps, or give --shard")
        return shard
    return WHOLE
