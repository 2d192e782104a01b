"""What doctor says of a machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

from flashbench import doctor
from flashbench.backbones import assets
from flashbench.cli import main
from flashbench.field import dino
from flashbench.metrics import plugin, registry


def test_every_asset_and_network_with_its_licence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lines = CliRunner().invoke(main, ["doctor"]).output.splitlines()
    for name, asset in assets.ASSETS.items():
        assert f"weights {name} ({asset.licence}): absent; to get it: flashbench assets fetch {name}" in " ".join(lines)
    for name, one in plugin.PLUGINS.items():
        (line,) = [text for text in lines if text.startswith(f"network {name} ")]
        assert one.licence in line and line.endswith(one.brings)
        assert f"--weights {name}=PATH" in line or "needs " in line
    assert any(line.startswith("gpu: ") for line in lines)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    registry.install()
    needy = dataclasses.replace(dino.PLUGIN, requires=("json", "no_such_module"))
    monkeypatch.setitem(plugin.PLUGINS, "dino", needy)
    monkeypatch.setitem(registry.BROKEN, "other", "other:PLUGIN: ImportError: x")
    monkeypatch.setattr(doctor, "PACKAGES", ("torch", "no-such-package"))
    found = {f.what: f for f in doctor.findings()}
    assert found["network dino"].state == "needs no_such_module"
    assert found["plugin other"].state == "broken: other:PLUGIN: ImportError: x"
    assert found["no-such-package"].state == "missing" and "pip install" in found["no-such-package"].mend
