"""Our forward of a stock WanTransformer3DModel is diffusers' own, and what is added changes nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from flashmotion.networks.generator import Request, embed, head, predict_x0, rope_at, run_block, run_blocks

Make = Callable[..., WanTransformer3DModel]
B, C, F, H, W = 2, 12, 5, 4, 6


@pytest.fixture
def request_(text: Tensor) -> Request:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(B, C, F, H, W, generator=rng)
    return Request(x, torch.tensor([0.7, 0.31]), text[:B].float(), torch.arange(F))


def stock(model: WanTransformer3DModel, x: Tensor, r: Request) -> Tensor:
    """diffusers' forward with a time for each token: 0 on the first latent frame, 1000 t on the others."""
    _, ph, pw = model.config.patch_size
    first, tokens = (H // ph) * (W // pw), F * (H // ph) * (W // pw)
    times = (1000 * r.t)[:, None].repeat(1, tokens)
    times[:, :first] = 0
    return model(x, times, r.text, return_dict=False)[0]


@pytest.mark.parametrize("patch", [(1, 1, 1), (1, 2, 2)])
@pytest.mark.parametrize("norm", [True, False])
@torch.no_grad()
def test_v_prediction_is_diffusers_own_forward(
    make_generator: Make, request_: Request, patch: tuple[int, int, int], norm: bool
) -> None:
    model = make_generator(repeated=False, patch_size=patch, cross_attn_norm=norm)
    v = stock(model, request_.x, request_)
    assert v.abs().mean() > 0.05
    x0 = predict_x0(model, request_)
    expected = request_.x - request_.t.view(-1, 1, 1, 1, 1) * v
    torch.testing.assert_close(x0[:, :, 1:], expected[:, :, 1:], atol=1e-5, rtol=0)
    assert torch.equal(x0[:, :, :1], request_.x[:, :, :1])


@torch.no_grad()
def test_a_repeated_first_latent_goes_beside_every_frame(make_generator: Make, request_: Request) -> None:
    model = make_generator()
    x, first = request_.x, request_.x[:, :, :1]
    out = stock(model, torch.cat([x, first.repeat(1, 1, F, 1, 1)], dim=1), request_)
    expected = model.clean(x, request_.t, out)
    torch.testing.assert_close(predict_x0(model, request_)[:, :, 1:], expected[:, :, 1:], atol=1e-5, rtol=0)


@torch.no_grad()
def test_tokens_are_the_stock_models(make_generator: Make, request_: Request) -> None:
    model = make_generator(repeated=False)
    e = embed(model, request_)
    assert e.hidden.shape == (B, F * H * W, 24) and e.first == H * W
    assert e.time.shape == (B, 2, 24) and e.modulation.shape == (B, 2, 6, 24) and e.text.shape[1] == 6
    assert torch.equal(e.time[0, 0], e.time[1, 0])  # the given frame stands at time 0 in every sample
    assert not torch.allclose(e.time[0, 1], e.time[1, 1])


def test_rope_is_the_models_own_and_takes_any_positions(make_generator: Make) -> None:
    model = make_generator(repeated=False)
    whole = model.rope(torch.zeros(1, C, 31, H, W))
    for ours, theirs in zip(rope_at(model, torch.arange(31), H, W), whole, strict=True):
        assert torch.equal(ours, theirs)
    positions = torch.tensor([0, 3, 4, 17, 30])
    for ours, theirs in zip(rope_at(model, positions, H, W), whole, strict=True):
        assert torch.equal(ours, theirs.view(1, 31, H * W, 1, -1)[:, positions].flatten(1, 2))


@torch.no_grad()
def test_positions_change_only_the_rope(make_generator: Make, request_: Request) -> None:
    model = make_generator()
    near, far = (embed(model, request_._replace(frames=torch.tensor(f))) for f in ([0, 1, 2, 3, 4], [0, 2, 3, 9, 30]))
    for a, b in zip(near[:4], far[:4], strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(near.rope[0], far.rope[0])
    a, b = (run_blocks(model, e)[0] for e in (near, far))
    assert (a - b).abs().max() > 1e-4
    same, _ = run_blocks(model, near._replace(rope=far.rope))
    assert torch.equal(same, b)


@torch.no_grad()
def test_one_block_is_the_stock_block(make_generator: Make, request_: Request) -> None:
    model = make_generator(repeated=False)
    e = embed(model, request_)
    per_token = torch.cat(
        [e.modulation[:, :1].expand(-1, e.first, -1, -1), e.modulation[:, 1:].expand(-1, (F - 1) * H * W, -1, -1)], 1
    )
    theirs = model.blocks[0](e.hidden, e.text, per_token, e.rope)
    ours = run_block(model.blocks[0], e.hidden, e.text, e.modulation, *e.rope, e.first)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@torch.no_grad()
def test_residuals_are_added_after_their_block_and_taps_see_them(make_generator: Make, request_: Request) -> None:
    model = make_generator()
    e = embed(model, request_)
    plain, taps = run_blocks(model, e, taps=(0, 1))
    assert torch.equal(taps[1], plain) and len(taps) == 2
    shift = torch.randn(e.hidden.shape, generator=torch.Generator().manual_seed(2))
    moved, seen = run_blocks(model, e, [torch.zeros_like(shift), shift], taps=(0, 1))
    torch.testing.assert_close(moved, plain + shift)
    assert torch.equal(seen[0], taps[0]) and torch.equal(seen[1], moved)
    early, _ = run_blocks(model, e, [shift, torch.zeros_like(shift)])
    expected = run_block(model.blocks[1], taps[0] + shift, e.text, e.modulation, *e.rope, e.first)
    torch.testing.assert_close(early, expected)


@torch.no_grad()
def test_embedded_tokens_may_be_given(make_generator: Make, request_: Request) -> None:
    model = make_generator()
    assert torch.equal(predict_x0(model, request_), predict_x0(model, request_, embedded=embed(model, request_)))


@torch.no_grad()
def test_a_zero_head_repeats_the_first_frame(make_generator: Make, request_: Request) -> None:
    model = make_generator()
    nn.init.zeros_(model.proj_out.weight)
    nn.init.zeros_(model.proj_out.bias)
    x0 = predict_x0(model, request_._replace(t=torch.ones(B)))
    assert torch.equal(x0, request_.x[:, :, :1].expand_as(x0))


@torch.no_grad()
def test_head_puts_patches_where_they_were_cut(make_generator: Make, request_: Request) -> None:
    """With an output layer that tells a token's number, every patch of the picture shows its own."""
    model = make_generator(repeated=False, patch_size=(1, 2, 2))
    e = embed(model, request_)
    tokens = F * (H // 2) * (W // 2)
    model.norm_out, model.proj_out = nn.Identity(), nn.Identity()
    e = e._replace(time=torch.zeros(B, 2, 48 * 1))
    model.scale_shift_table = nn.Parameter(torch.zeros(1, 2, 48))
    number = torch.arange(tokens).float().view(1, -1, 1).expand(B, -1, 4 * C).clone()
    out = head(model, number, e, request_.x.shape)
    expected = torch.arange(tokens).float().view(F, H // 2, W // 2).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert torch.equal(out[0, 0], expected) and torch.equal(out[1, C - 1], expected)


def test_gradient_reaches_every_weight(make_generator: Make, request_: Request) -> None:
    model = make_generator()
    predict_x0(model, request_)[:, :, 1:].square().mean().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    # Keys get no gradient through their bias: a softmax does not see a shift that is common to all keys.
    assert without == [] or all(n.endswith("to_k.bias") for n in without)
