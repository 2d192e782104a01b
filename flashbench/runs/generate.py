"""Generating: each case of a suite is put to a model, and the answer is kept without loss."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable

from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError
from flashbench.files.atomic import disk_full, sha256_arrays, write_json
from flashbench.files.video import write_video
from flashbench.models.protocol import VideoModel, checked_video
from flashbench.runs.layout import RunFolder, case_seed, read_timing
from flashbench.runs.shard import WHOLE, Shard

Tick = Callable[[str, int, int], None]


def silent(task: str, done: int, total: int) -> None:
    """A Tick that shows nothing."""


def generate(
    run: RunFolder, model: VideoModel, suite: Suite, seed: int, tick: Tick = silent, shard: Shard = WHOLE
) -> list[str]:
    """Makes the videos that are not there yet; returns the ids of the cases that failed.

    A case fails when the model raises. Failed cases are tried again by the next call. An InputError (an unreadable
    file of `videos:FOLDER`, an answer of another size) is not a failure of the model but something to mend: it is
    passed on, and so is a full disk.
    """
    mine = shard.of(suite.case_ids)
    todo = [case_id for case_id in mine if not run.answered(case_id)]
    done, failed = len(mine) - len(todo), []
    tick("generate", done, len(mine))
    for case_id in todo:
        case = suite.load_case(case_id)
        try:
            answer(run, model, case, case_seed(suite.name, case_id, seed))
        except InputError:
            raise
        except Exception as error:
            if disk_full(error):
                raise
            failed.append(case_id)
            why, where = f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error))
            write_json(run.failure(case_id), {"case": case_id, "error": why, "traceback": where})
        done += 1
        tick("generate", done, len(mine))
    return failed


def answer(run: RunFolder, model: VideoModel, case: Case, seed: int) -> None:
    """One case: the video first, then its timing, which marks the unit as done and is kept from the first time."""
    start = time.perf_counter()
    frames = model.generate(case.asked(), seed)
    seconds = time.perf_counter() - start
    frames = checked_video(frames, case, model.name)
    if run.timing(case.id).is_file():
        seconds = read_timing(run.timing(case.id))["seconds"]
    write_video(run.video(case.id), frames, case.fps)
    write_json(run.timing(case.id), {"case": case.id, "seconds": seconds, "frames_sha256": sha256_arrays(frames)})
    run.failure(case.id).unlink(missing_ok=True)
