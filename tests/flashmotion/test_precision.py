"""Which arithmetic is picked, and that fp32 stays as it is."""

from __future__ import annotations

import pytest
import torch

from flashmotion.precision import autocast, pick


def test_forced() -> None:
    assert pick("fp32") == torch.float32 and pick("bf16") == torch.bfloat16
    with pytest.raises(KeyError):
        pick("fp8")


@pytest.mark.parametrize(("amx", "avx"), [(True, True), (True, False), (False, True), (False, False)])
def test_auto_is_bf16_where_the_cpu_is_fast_in_it(amx: bool, avx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    assert pick() == (torch.bfloat16 if amx or avx else torch.float32)


@pytest.mark.parametrize("can", [True, False])
def test_auto_on_cuda(can: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: can)
    assert pick(device="cuda:1") == (torch.bfloat16 if can else torch.float32)


def test_autocast() -> None:
    a = torch.ones(4, 4)
    with autocast(torch.float32):
        assert (a @ a).dtype == torch.float32
    with autocast(torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
    assert (a @ a).dtype == torch.float32


def test_autocast_is_of_the_device() -> None:
    for device in ("cpu", torch.device("cpu")):
        assert autocast(torch.bfloat16, device).device == "cpu"  # type: ignore[attr-defined]
