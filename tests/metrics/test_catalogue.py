"""The catalogue: complete, consistent with what computes it, and helpful with wrong names."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest

from flashbench.errors import InputError
from flashbench.metrics.catalogue import EXCESS, METRICS, Metric, choose
from flashbench.metrics.values import CASE_METRICS, SET_METRICS

EMBEDDED = tuple(m for m in METRICS.values() if m.embedded)
NAMES = {
    "fvd_i3d",
    "mmd_i3d",
    "fid_lite0",
    "epe_lk",
    "epe_lk_median",
    "epe_lk_early",
    "epe_lk_middle",
    "epe_lk_late",
    "epe_lk_excess",
    "epe_points_lk",
    "delta_avg_lk",
    "aj_lk",
    "oa_lk",
    "survival_lk",
    "miou_lk",
    "biou_lk",
    "arrival_lk",
    "speed_ratio_lk",
    "dynamic_lk",
    "text_lit",
    "text_conse",
    "subject_lite0",
    "background_lite0",
    "flicker",
    "psnr",
    "ssim",
    "stlpips",
    "seconds",
}


def test_it_holds_the_agreed_names() -> None:
    assert {m.name for m in EMBEDDED} == NAMES


def test_every_metric_is_computed_by_something_and_nothing_else_is() -> None:
    assert {m.name for m in METRICS.values() if m.kind == "set"} == set(SET_METRICS)
    plain = {m.name for m in METRICS.values() if m.kind == "case" and not m.name.endswith(EXCESS)}
    assert plain == set(CASE_METRICS)
    assert {m.name for m in EMBEDDED if m.name.endswith(EXCESS)} == {"epe_lk_excess"}


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda m: m.name)
def test_facts_are_whole(metric: Metric) -> None:
    assert metric.unit and metric.formula and metric.source and metric.blind
    assert metric.low < metric.high
    assert not any(text.endswith((".", " ")) for text in (metric.unit, metric.formula, metric.blind, metric.source))
    if metric.kind == "set":
        assert len(metric.needs) == 1 and metric.needs_reference
    elif metric.name != "seconds":
        assert metric.low <= metric.worst <= metric.high


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda m: m.name)
def test_worst_lies_at_the_bad_end(metric: Metric) -> None:
    if not math.isnan(metric.worst) and metric.name != "stlpips":  # its range has no end
        assert metric.worst == (metric.high if metric.direction == "lower" else metric.low)


def test_a_name_states_its_network_or_tracker() -> None:
    for metric in METRICS.values():
        for extractor in set(metric.needs) - {"pixels"}:
            assert extractor in metric.name


def test_choice_keeps_the_catalogue_s_order() -> None:
    assert [m.name for m in choose(["psnr", "fvd_i3d", "psnr"])] == ["fvd_i3d", "psnr"]
    assert choose(None) == tuple(m for m in EMBEDDED if m.name != "text_conse")
    assert choose(None, "photographs") == tuple(m for m in EMBEDDED if m.name != "text_lit")


@pytest.mark.parametrize(
    ("name", "said"),
    [("fvd", "did you mean 'fvd_i3d'?"), ("EPE_LK", "list metrics"), ("epe_l", "did you mean 'epe_lk'?")],
)
def test_an_unknown_name_is_helped(name: str, said: str) -> None:
    with pytest.raises(InputError, match=f"--metrics: there is no metric '{name}'") as caught:
        choose(["psnr", name])
    assert said in str(caught.value)


def test_metrics_import_without_torch() -> None:
    code = "import sys; sys.modules['torch'] = None; import flashbench.metrics.catalogue, flashbench.metrics.values"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_text_agreement_reads_its_own_pictures_alone() -> None:
    assert choose(["text_lit"], "sprites") and choose(["text_conse"], "photographs")
    assert len(choose(["text_lit", "text_conse"], None)) == 2
    with pytest.raises(InputError, match="text_conse: reads photographs, the suite shows sprites; take text_lit"):
        choose(["text_conse"], "sprites")
    with pytest.raises(InputError, match="text_lit: reads sprites, the suite shows photographs; take text_conse"):
        choose(["text_lit"], "photographs")
