"""Makes the head of `text_lit` from the train split of sprites-v1 and measures it on the test split.

    python scripts/train_text_lit.py [--scenes 3000] [--seed 0]

Two ridge regressions on frozen features, added up. Scenes: mean Lite0 features of a frame -> MiniLM embedding of the
prompt (place, weather, number, objects). Objects: features of a cell of the 7 x 7 map -> sum over objects of their
share of the cell times the embedding of their name, which finds the part of the features that tells objects apart. Both
in closed form from second moments: no step size, no epochs, the same head again on the same machine.

The head (fp16) and its manifest go to flashbench/backbones/data. About four minutes on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save

from flashbench.backbones.lite0 import DIM as IMAGE_DIM
from flashbench.backbones.lite0 import Lite0
from flashbench.backbones.minilm import DIM, MiniLM
from flashbench.backbones.text_lit import DATA, Head
from flashbench.cases.scenes import prompts, weather
from flashbench.cases.scenes.atlas import Sprite, load_atlas
from flashbench.cases.scenes.world import Rendered, Scene, render, sample_scene
from flashbench.cases.schema import STRATA

SIZES = (64, 64, 96, 128)  # px: the embedded suite is 64, its enlargements are known too
FRAMES = 2  # of a train scene
SCENE_RIDGE, OBJECT_RIDGE, OBJECT_WEIGHT = 1.0, 3.4, 10.0  # ridges in units of mean moment (see `ridge`)
WRONG_OBJECT, WRONG_COUNT = 4, 2  # false prompts of a test scene
TEST_SCENES, TEST_SEED, TEST_FRAMES, TEST_SIZE = 240, 2, 8, 64


@dataclass
class Moments:
    """Sums over samples of x x' and x y', x with a constant 1 behind it, float64."""

    outputs: int
    n: int = 0
    xx: torch.Tensor = field(default_factory=lambda: torch.zeros(IMAGE_DIM + 1, IMAGE_DIM + 1, dtype=torch.float64))
    xy: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.xy = torch.zeros(IMAGE_DIM + 1, self.outputs, dtype=torch.float64)

    def add(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Samples x `[N, IMAGE_DIM]`, y `[N, outputs]`."""
        x = torch.cat([x, x.new_ones(len(x), 1)], dim=1).double()
        self.xx += x.T @ x
        self.xy += x.T @ y.double()
        self.n += len(x)


def standardiser(moments: Moments) -> torch.Tensor:
    """The matrix `[IMAGE_DIM + 1, IMAGE_DIM + 1]` that brings x (with its 1) to mean 0 and deviation 1, the 1 kept."""
    mean = moments.xx[-1, :-1] / moments.n
    deviation = (moments.xx.diagonal()[:-1] / moments.n - mean.square()).clamp(min=0).sqrt() + 1e-3
    out: torch.Tensor = torch.diag(torch.cat([1 / deviation, torch.ones(1, dtype=torch.float64)]))
    out[:-1, -1] = -mean / deviation
    return out


def ridge(moments: Moments, standard: torch.Tensor, strength: float) -> torch.Tensor:
    """Weights `[outputs, IMAGE_DIM + 1]` on plain features, of the ridge regression on standardised ones.

    The penalty is `strength` times the mean second moment of the standardised features.
    """
    xx, xy = standard @ moments.xx @ standard.T, standard @ moments.xy
    penalty = strength * xx.diagonal().mean() * torch.eye(len(xx), dtype=torch.float64)
    solution: torch.Tensor = torch.linalg.solve(xx + penalty, xy)
    return (standard.T @ solution).T


def scenes(split: str, count: int, seed: int) -> Iterator[tuple[Scene, np.random.Generator]]:
    """Scenes with strata in turn, and the generator to go on with."""
    rng = np.random.default_rng([seed, count])
    for i in range(count):
        stratum = 1 + i % len(STRATA)
        yield sample_scene(rng, stratum if stratum < 6 else int(rng.integers(6, 9)), split), rng
        if i % 100 == 99:
            print(f"{split}: {i + 1} of {count} scenes", file=sys.stderr, flush=True)


def shares(rendered: Rendered) -> torch.Tensor:
    """Share of every cell that each object covers: `[F, 49, N]`."""
    masks = torch.from_numpy(rendered.masks).float().transpose(0, 1)  # (F, N, S, S)
    return F.interpolate(masks, (7, 7), mode="area").flatten(2).transpose(1, 2)


def fit(count: int, seed: int, lite0: Lite0, minilm: MiniLM) -> Head:
    """Makes the head from `count` train scenes."""
    sprites = load_atlas().sprites("train")
    names = minilm.sentence([f"{s.article} {s.name}" for s in sprites])  # (sprites, DIM)
    names = names - names.mean(0)
    whole, cells, sentences = Moments(DIM), Moments(DIM), torch.zeros(DIM, dtype=torch.float64)
    for scene, rng in scenes("train", count, seed):
        rendered = render(scene, int(rng.choice(SIZES)), rng.integers(0, scene.frames, FRAMES))
        maps = lite0.maps(torch.from_numpy(rendered.video)).flatten(2).transpose(1, 2)  # (F, 49, IMAGE_DIM)
        sentence = minilm.sentence([scene.prompt])  # (1, DIM)
        objects = names[[sprites.index(a.sprite) for a in scene.named]]  # (N, DIM)
        whole.add(maps.mean(1), sentence.expand(FRAMES, -1))
        cells.add(maps.flatten(0, 1), (shares(rendered) @ objects).flatten(0, 1))
        sentences += sentence[0].double()
    mean = sentences / count
    whole.xy -= whole.xx[:, -1:] * mean  # as if every target had been centred
    standard = standardiser(cells)
    weights = ridge(whole, standard, SCENE_RIDGE) + OBJECT_WEIGHT * ridge(cells, standard, OBJECT_RIDGE)
    head = Head()
    head.load_state_dict({"image.weight": weights[:, :-1], "image.bias": weights[:, -1], "mean_sentence": mean})
    return head.half().float().eval()  # as it is shipped


def false_prompts(scene: Scene, sprites: tuple[Sprite, ...], rng: np.random.Generator) -> Iterator[str]:
    """Prompts that differ from the true one in one object, then in one object more or less."""
    cast, families = [a.sprite for a in scene.named], [a.family for a in scene.named]
    others = [s for s in sprites if s not in cast]

    def other() -> Sprite:
        return others[int(rng.integers(len(others)))]

    def sentence(cast: list[Sprite], families: list[str]) -> str:
        place = "the " + scene.background.name.partition(", part")[0]
        clause = weather.KINDS[scene.weather].phrase if scene.weather != "clear" else None
        return prompts.prompt([f"{s.article} {s.name}" for s in cast], families, place, clause)

    for _ in range(WRONG_OBJECT):
        changed = list(cast)
        changed[int(rng.integers(len(cast)))] = other()
        yield sentence(changed, families)
    for _ in range(WRONG_COUNT):
        at = int(rng.integers(len(cast)))
        if len(cast) == 8 or (len(cast) > 1 and rng.random() < 0.5):
            yield sentence(cast[:at] + cast[at + 1 :], families[:at] + families[at + 1 :])
        else:
            yield sentence([*cast[:at], other(), *cast[at:]], [*families[:at], "line", *families[at:]])


@torch.no_grad()
def accuracy(head: Head, split: str, lite0: Lite0, minilm: MiniLM) -> dict[str, float]:
    """How often a video (mean cosine of TEST_FRAMES frames, as the metric takes it) prefers its true prompt.

    Chance is 1/2 for `..._vs_wrong_...` and `pairwise` (all other scenes' prompts), k / prompts for `recall_at_k`.
    """
    sprites, videos, texts, objects = load_atlas().sprites(split), [], [], []
    for scene, rng in scenes(split, TEST_SCENES, TEST_SEED):
        at = np.linspace(0, scene.frames - 1, TEST_FRAMES).astype(int)
        maps = lite0.maps(torch.from_numpy(render(scene, TEST_SIZE, at).video))
        videos.append(head.images(maps).mean(0))
        texts.append(head.texts(minilm.sentence([scene.prompt, *false_prompts(scene, sprites, rng)])))
        objects.append(len(scene.named))
    video, text, number = torch.stack(videos), torch.stack(texts), torch.tensor(objects)
    own = torch.einsum("sd,std->st", video, text)  # (S, 1 + false)
    right = (own[:, :1] > own[:, 1:]).float()
    nearer = ((video @ text[:, 0].T) > own[:, :1]).sum(1)
    found = {
        "object_vs_wrong_object": right[:, :WRONG_OBJECT].mean(),
        **{f"object_vs_wrong_object_{n}": right[number == n, :WRONG_OBJECT].mean() for n in (1, 2, 3)},
        "count_vs_wrong_count": right[:, WRONG_OBJECT:].mean(),
        "pairwise": 1 - nearer.float().mean() / (TEST_SCENES - 1),
        "recall_at_1": (nearer < 1).float().mean(),
        "recall_at_5": (nearer < 5).float().mean(),
        "true_prompt_cosine": own[:, 0].mean(),
        "other_prompt_cosine": (video @ text[:, 0].T).sum().sub(own[:, 0].sum()) / TEST_SCENES / (TEST_SCENES - 1),
    }
    return {**{key: round(float(value), 3) for key, value in found.items()}, "prompts": TEST_SCENES}


def save_head(head: Head, facts: dict[str, object]) -> None:
    """Writes the head in fp16 and its manifest."""
    weights = save({k: v.half() for k, v in head.state_dict().items()})
    folder = Path(str(DATA))
    (folder / "text_lit.safetensors").write_bytes(weights)
    manifest = {"file": "text_lit.safetensors", "sha256": hashlib.sha256(weights).hexdigest(), "licence": "Apache-2.0"}
    (folder / "text_lit.json").write_text(json.dumps({**manifest, **facts}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=3000, help="of the train split")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    lite0, minilm = Lite0.load(), MiniLM.load()
    head = fit(args.scenes, args.seed, lite0, minilm)
    facts: dict[str, object] = {
        "command": f"python scripts/train_text_lit.py --scenes {args.scenes} --seed {args.seed}",
        "towers": {"lite0": Lite0.fingerprint, "minilm": MiniLM.fingerprint},
        "train_split": accuracy(head, "train", lite0, minilm),
        "test_split": accuracy(head, "test", lite0, minilm),
    }
    save_head(head, facts)
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
