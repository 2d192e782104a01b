"""Attention in rows: exact values, torch's own as reference, and that it takes the place of diffusers' for a while."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention, WanAttnProcessor
from torch import Tensor

from flashmotion.networks import attention
from flashmotion.networks.attention import ROWS, RowsProcessor, in_rows, rotated, rows_attention, suits


def drawn(queries: int, keys: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, 3, n, 16, generator=rng) for n in (queries, keys, keys))  # type: ignore[return-value]


def exact(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = q.double() @ k.double().transpose(2, 3) / q.shape[-1] ** 0.5
    return scores.softmax(-1) @ v.double()


def error(out: Tensor, true: Tensor) -> float:
    return float((out.double() - true).norm() / true.norm())


def test_equal_keys_give_the_mean_of_the_values() -> None:
    q, k, v = drawn(5, 8)
    out = rows_attention(q, k[:, :, :1].expand_as(k), v)
    assert out.dtype == torch.bfloat16 and error(out, v.mean(2, keepdim=True).expand_as(out).double()) < 4e-3


@pytest.mark.parametrize("queries", [1, ROWS - 1, ROWS, 2 * ROWS + 7])
def test_is_as_exact_as_torch_in_bf16(queries: int) -> None:
    q, k, v = drawn(queries, 150)
    true, torchs = exact(q, k, v), F.scaled_dot_product_attention(*(x.bfloat16() for x in (q, k, v)))
    assert error(rows_attention(q, k, v), true) < 1.5 * error(torchs, true) < 0.02


def test_a_large_common_part_of_the_keys_costs_no_exactness() -> None:
    q, k, v = drawn(40, 150)
    moved = k + 30 * torch.randn(16, generator=torch.Generator().manual_seed(1))
    assert error(rows_attention(q, moved, v), exact(q, k, v)) < 0.01
    without = (q.bfloat16() / 4 @ moved.bfloat16().transpose(2, 3)).softmax(-1) @ v.bfloat16()  # the plain form
    assert error(without, exact(q, k, v)) > 0.05


def gradients(of: Callable[..., Tensor], dtype: torch.dtype, queries: int = 2 * ROWS + 7) -> list[Tensor]:
    """Of a weighted sum of what attention gives, in queries, keys and values."""
    inputs = [x.to(dtype).requires_grad_() for x in drawn(queries, 150)]
    weight = torch.randn(2, 3, queries, 16, generator=torch.Generator().manual_seed(3))
    out = of(*inputs)
    return list(torch.autograd.grad((out * weight.to(out.dtype)).sum(), inputs))


@pytest.mark.parametrize("queries", [1, ROWS, 2 * ROWS + 7])
def test_gradients_are_as_exact_as_torchs_in_bf16(queries: int) -> None:
    true = gradients(exact, torch.float64, queries)
    torchs = gradients(F.scaled_dot_product_attention, torch.bfloat16, queries)
    for ours, other, expected in zip(gradients(rows_attention, torch.bfloat16, queries), torchs, true, strict=True):
        assert ours.dtype == torch.bfloat16 and error(ours, expected) < 2 * error(other, expected) < 0.03


def test_what_gradients_are_taken_of_is_what_is_given_without() -> None:
    q, k, v = drawn(2 * ROWS + 7, 150)
    without = rows_attention(q, k, v)
    assert torch.equal(rows_attention(q.requires_grad_(), k, v), without)
    with torch.no_grad():
        assert rows_attention(q, k, v).grad_fn is None


def test_gradients_twice_through_one_graph() -> None:
    """As stage 3 takes them of each of its losses."""
    q, k, v = drawn(ROWS + 1, 20)
    out = rows_attention(q.requires_grad_(), k, v)
    first, second = (torch.autograd.grad(out.sum(), q, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.filterwarnings("ignore")  # what torch.compile deprecates in itself
def test_compiled_it_is_the_same() -> None:
    q, k, v = (x.bfloat16() for x in drawn(ROWS + 9, 5))
    inputs = [x.contiguous().requires_grad_() for x in (q, k.transpose(2, 3), v)]
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(attention._rows, inputs, test_utils=checks)
    plain = gradients(rows_attention, torch.bfloat16)
    compiled = gradients(torch.compile(rows_attention, backend="aot_eager", dynamic=False), torch.bfloat16)
    assert all(torch.equal(a, b) for a, b in zip(plain, compiled, strict=True))


def test_rows_do_not_depend_on_their_neighbours() -> None:
    q, k, v = drawn(3 * ROWS, 60)
    order = torch.randperm(3 * ROWS, generator=torch.Generator().manual_seed(2))
    assert error(rows_attention(q[:, :, order], k, v), rows_attention(q, k, v)[:, :, order].double()) < 2e-3


@pytest.fixture
def layer() -> WanAttention:
    torch.manual_seed(0)
    net = WanAttention(dim=48, heads=3, dim_head=16, processor=WanAttnProcessor())
    torch.nn.init.normal_(net.norm_q.weight, 1, 0.2)
    torch.nn.init.normal_(net.norm_k.weight, 1, 0.2)
    return net.eval()


@pytest.mark.parametrize("of_text", [False, True])
@torch.inference_mode()
def test_the_processor_is_diffusers_but_for_rounding(layer: WanAttention, of_text: bool) -> None:
    x, text = torch.randn(2, 150, 48), torch.randn(2, 9, 48) if of_text else None
    angles = torch.rand(1, 150, 1, 8).repeat_interleave(2, dim=-1) * 6
    rope = None if of_text else (angles.cos(), angles.sin())
    true = layer(x, text, None, rope)
    with torch.autocast("cpu", torch.bfloat16):
        torchs = layer(x, text, None, rope)
        with in_rows(layer):
            ours = layer(x, text, None, rope)
    assert error(ours, true.double()) < 1.5 * error(torchs, true.double()) < 0.03
    if rope is not None:  # known to be wrong: places forgotten
        with in_rows(layer):
            assert error(layer.float().bfloat16()(x.bfloat16()), true.double()) > 0.1


def test_pairs_are_turned() -> None:
    x = torch.tensor([1.0, 0.0, 0.0, 1.0]).view(1, 1, 1, 4)
    angles = torch.tensor([0.5, 0.5, 2.0, 2.0]).view(1, 1, 1, 4)
    out = rotated(x, angles.cos(), angles.sin()).flatten().tolist()
    assert out == pytest.approx([0.87758, 0.47943, -0.90930, -0.41615], abs=1e-5)


def test_the_processors_come_back(generator: WanTransformer3DModel) -> None:
    layers = [m for m in generator.modules() if isinstance(m, WanAttention)]
    before = [m.processor for m in layers]
    assert layers and all(type(p) is WanAttnProcessor for p in before)
    with pytest.raises(RuntimeError, match="inside"), in_rows(generator, None):
        assert all(isinstance(m.processor, RowsProcessor) for m in layers)
        raise RuntimeError("inside")
    assert [m.processor for m in layers] == before


@pytest.mark.parametrize("amx", [True, False])
def test_where_it_is_used(amx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention.torch.cpu, "_is_amx_tile_supported", lambda: amx)  # type: ignore[attr-defined]
    assert suits(torch.bfloat16) == (not amx)
    assert not suits(torch.float32) and not suits(torch.bfloat16, "cuda:0")
