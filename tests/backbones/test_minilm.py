"""MiniLM: the cosines that the public model gives, and the shapes that prompts need."""

from __future__ import annotations

import json

import pytest
import torch

from flashbench.backbones import assets
from flashbench.backbones.minilm import MiniLM
from flashbench.backbones.parts import read_weights


def test_cosines_are_those_that_sentence_transformers_documents(minilm: MiniLM) -> None:
    """The quickstart of sentence-transformers prints these three for this model, to four places."""
    weather, sunny, drove = minilm.sentence(
        ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    )
    assert float(weather @ sunny) == pytest.approx(0.6660, abs=1e-4)
    assert float(weather @ drove) == pytest.approx(0.1046, abs=1e-4)
    assert float(sunny @ drove) == pytest.approx(0.1411, abs=1e-4)


def test_states_are_those_of_transformers(minilm: MiniLM) -> None:
    from transformers.models.bert import BertConfig, BertModel

    published, texts = read_weights(assets.fetch("minilm"))
    theirs = BertModel(BertConfig(**json.loads(texts["config.json"])), add_pooling_layer=False).eval()
    theirs.load_state_dict({k: v for k, v in published.items() if k in theirs.state_dict()})
    ids = torch.randint(1000, 30000, (3, 40), generator=torch.Generator().manual_seed(0))
    for lengths in ([40, 40, 40], [40, 7, 1]):
        real = torch.arange(40) < torch.tensor(lengths)[:, None]
        with torch.no_grad():
            expected = theirs(input_ids=ids, attention_mask=real.long()).last_hidden_state
            found = minilm.net(ids, real)
        torch.testing.assert_close(found[real], expected[real], atol=1e-6, rtol=0)


def test_related_sentences_are_near_and_others_far(minilm: MiniLM) -> None:
    car, auto, cat = minilm.sentence(["a red car driving", "an automobile moving", "a cat sleeping"])
    assert float(car @ auto) == pytest.approx(0.57, abs=0.02)
    assert float(car @ cat) == pytest.approx(0.10, abs=0.02)
    assert float(car @ car) == pytest.approx(1, abs=1e-5)


def test_a_sentence_does_not_depend_on_its_batch(minilm: MiniLM) -> None:
    texts = ["a red car", "a red car drives slowly along a wet road behind two yellow buses"]
    together = minilm.sentence(texts)
    alone = torch.cat([minilm.sentence([t]) for t in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_token_states_have_a_fixed_length_and_are_zero_where_padded(minilm: MiniLM) -> None:
    states, mask = minilm.tokens(["a red car", "word " * 100], length=24)
    assert states.shape == (2, 24, 384) and states.dtype == torch.float32
    assert mask.dtype == torch.bool and mask.sum(1).tolist() == [5, 24]  # [CLS] a red car [SEP]
    assert not states[~mask].any() and states[mask].any(-1).all()


def test_token_states_may_feed_a_network_that_trains(minilm: MiniLM) -> None:
    layer = torch.nn.Linear(384, 2)
    layer(minilm.tokens(["a red car"], 8)[0]).sum().backward()
    assert layer.weight.grad is not None
    assert not any(p.requires_grad for p in minilm.net.parameters())
