"""Presets by name, and experiments made of them."""

from __future__ import annotations

import pytest

from flashbench.errors import InputError
from flashmotion.presets import changed, preset
from flashmotion.presets.nano import NANO


def test_by_name() -> None:
    assert preset("nano") is NANO
    with pytest.raises(InputError, match="unknown preset 'micro'; choose one of nano"):
        preset("micro")


def test_changed() -> None:
    made = changed(NANO, ["gan_weight=1", "few_steps=[1.0,0.5]", 'lambda_form="rising"', "heads_updates=5"])
    assert (made.gan_weight, made.few_steps, made.lambda_form, made.heads_updates) == (1, (1.0, 0.5), "rising", 5)
    assert changed(NANO, ["lambda_form=0.225"]).lambda_form == 0.225
    assert changed(NANO, []) == NANO
    made = changed(NANO, ["fast_adapter.lr=1e-4", "fast_adapter.steps=800", "discriminator_times=[0.5,0.98]"])
    assert (made.fast_adapter.lr, made.fast_adapter.steps, made.discriminator_times) == (1e-4, 800, (0.5, 0.98))
    assert (made.fast_adapter.batch, made.base) == (NANO.fast_adapter.batch, NANO.base)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("gan", "unknown field 'gan'"), ("name=\"x\"", "unknown field 'name'"), ("base=1", "unknown field 'base'"),
        ("base.name=1", "unknown field 'base.name'"), ("base.steps=1.5", "not 1.5"),
        ("gan_weight=", "not FIELD=JSON"), ("gan_weight=true", "not True"), ("heads_updates=1.5", "not 1.5"),
        ("few_steps=4", "not 4"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed(change: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        changed(NANO, [change])


def test_updates_and_parts() -> None:
    made = changed(NANO, ["heads_updates=5"])
    assert made.adapter_updates == NANO.fast_adapter.steps // 5
    assert NANO.part("slow-adapter") == "slow-adapter"
    assert changed(NANO, ['adapter="resnet"']).part("slow-adapter") == "slow-adapter-resnet"
