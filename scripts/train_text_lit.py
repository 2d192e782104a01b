"""Trains the head of `text_lit` on the train split of sprites-v1 and measures it on the test split.

    python scripts/train_text_lit.py [--scenes 1800] [--steps 3000] [--seed 0] [--cache FOLDER]

Scenes are rendered, and frames and prompts put through the frozen towers, once; with --cache FOLDER they are kept there
for the next try. The head (fp16) and its manifest go to flashbench/backbones/data. On one core: about five minutes for
the features, three for the training.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save, save_file

from flashbench.backbones.lite0 import Lite0
from flashbench.backbones.minilm import MiniLM
from flashbench.backbones.text_lit import Head
from flashbench.cases.scenes import prompts, weather
from flashbench.cases.scenes.atlas import Sprite, load_atlas
from flashbench.cases.scenes.world import Scene, render, sample_scene
from flashbench.cases.schema import STRATA

DATA = Path(__file__).parent.parent / "flashbench" / "backbones" / "data"
SIZES = (64, 64, 96, 128)  # px: the embedded suite is 64, its enlargements are known too
FRAMES = 2  # of a scene: the first and one of the others
WRONG_OBJECT, WRONG_COUNT = 4, 2  # false prompts a scene
TEXTS = 1 + WRONG_OBJECT + WRONG_COUNT
LENGTH = 64  # tokens: the longest prompt of the world has fewer
TEST_SCENES, TEST_SEED = 192, 1
RATE, WEIGHT_DECAY = 2e-3, 0.05


@dataclass(frozen=True)
class Data:
    """Features of S scenes.

    Attributes:
        maps: half `[S, FRAMES, 1280, 7, 7]`; states: half `[S, TEXTS, L, 384]`; mask: bool `[S, TEXTS, L]`;
            objects: int64 `[S]`. Text 0 is the true prompt, then WRONG_OBJECT, then WRONG_COUNT false ones.
    """

    maps: torch.Tensor
    states: torch.Tensor
    mask: torch.Tensor
    objects: torch.Tensor


def sentence(scene: Scene, cast: list[Sprite], families: list[str]) -> str:
    """The prompt that the scene would have with these objects."""
    place = "the " + scene.background.name.partition(", part")[0]
    clause = weather.KINDS[scene.weather].phrase if scene.weather != "clear" else None
    return prompts.prompt([f"{s.article} {s.name}" for s in cast], families, place, clause)


def false_prompts(scene: Scene, sprites: tuple[Sprite, ...], rng: np.random.Generator) -> Iterator[str]:
    """Prompts that differ from the true one in one object, then in one object more or less."""
    cast, families = [a.sprite for a in scene.named], [a.family for a in scene.named]
    others = [s for s in sprites if s not in cast]

    def other() -> Sprite:
        return others[int(rng.integers(len(others)))]

    for _ in range(WRONG_OBJECT):
        changed = list(cast)
        changed[int(rng.integers(len(cast)))] = other()
        yield sentence(scene, changed, families)
    for _ in range(WRONG_COUNT):
        at = int(rng.integers(len(cast)))
        if len(cast) == 8 or (len(cast) > 1 and rng.random() < 0.5):
            yield sentence(scene, cast[:at] + cast[at + 1 :], families[:at] + families[at + 1 :])
        else:
            yield sentence(scene, [*cast[:at], other(), *cast[at:]], [*families[:at], "line", *families[at:]])


def prepare(split: str, scenes: int, seed: int, lite0: Lite0, minilm: MiniLM) -> Data:
    """Renders scenes, strata in turn, and puts them through the frozen towers."""
    rng, sprites = np.random.default_rng([seed, scenes]), load_atlas().sprites(split)
    maps, states, masks, objects = [], [], [], []
    for i in range(scenes):
        stratum = 1 + i % len(STRATA)
        scene = sample_scene(rng, stratum if stratum < 6 else int(rng.integers(6, 9)), split)
        at = [0, *rng.integers(1, scene.frames, FRAMES - 1)]
        video = render(scene, int(rng.choice(SIZES)), at).video
        state, mask = minilm.tokens([scene.prompt, *false_prompts(scene, sprites, rng)], LENGTH)
        maps.append(lite0.maps(torch.from_numpy(video)).half().contiguous())
        states.append(state.half())
        masks.append(mask)
        objects.append(len(scene.named))
        if i % 100 == 99:
            print(f"{split}: {i + 1} of {scenes} scenes", file=sys.stderr, flush=True)
    return Data(torch.stack(maps), torch.stack(states), torch.stack(masks), torch.tensor(objects))


def cached(split: str, scenes: int, seed: int, folder: Path | None) -> Data:
    """`prepare`, kept in `folder` if one is given."""
    path = folder / f"{split}-{scenes}-{seed}.safetensors" if folder else None
    if path and path.exists():
        return Data(**load_file(path))
    data = prepare(split, scenes, seed, Lite0.load(), MiniLM.load())
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({k: v.contiguous() for k, v in vars(data).items()}, path)
    return data


def losses(head: Head, data: Data, rows: torch.Tensor, frame: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Contrastive loss of a batch: each frame against all true prompts and its own false ones, each true prompt against
    all frames, and once more each frame against its own false prompts alone."""
    n = len(rows)
    length = int(data.mask[rows].sum(-1).max())
    image = head.images(data.maps[rows, frame].float())  # (B, D)
    states, mask = data.states[rows, :, :length].float(), data.mask[rows, :, :length]
    text = head.texts(states.flatten(0, 1), mask.flatten(0, 1)).unflatten(0, (n, TEXTS))  # (B, TEXTS, D)
    own = torch.einsum("bd,btd->bt", image, text) * scale.exp()  # (B, TEXTS)
    across = image @ text[:, 0].T * scale.exp()  # (B, B)
    target = torch.arange(n)
    hard = F.cross_entropy(own, torch.zeros_like(target))
    by_image = F.cross_entropy(torch.cat([across, own[:, 1:]], dim=1), target)
    return by_image + F.cross_entropy(across.T, target) + hard


def train(data: Data, steps: int, batch: int, seed: int) -> Head:
    """AdamW with a one-cycle rate; dropout on the towers' features is the regulariser that counts."""
    torch.manual_seed(seed)
    head, scale = Head(), torch.nn.Parameter(torch.tensor(2.5))
    optimiser = torch.optim.AdamW([*head.parameters(), scale], weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    for step in range(steps):
        rows = torch.randint(len(data.objects), (batch,))
        loss = losses(head, data, rows, torch.randint(FRAMES, (batch,)), scale)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}", file=sys.stderr, flush=True)
    return head.eval()


@torch.no_grad()
def accuracy(head: Head, data: Data) -> dict[str, float]:
    """How often a frame prefers its true prompt: to a wrong object, a wrong count, and among all scenes' prompts."""
    scenes = len(data.objects)
    text = head.texts(data.states.flatten(0, 1).float(), data.mask.flatten(0, 1)).unflatten(0, (scenes, TEXTS))
    image = torch.stack([head.images(maps.float()) for maps in data.maps])  # (S, FRAMES, D)
    own = torch.einsum("sfd,std->sft", image, text)
    right = own[..., :1] > own[..., 1:]  # (S, FRAMES, TEXTS - 1)
    across = torch.einsum("sfd,ud->sfu", image, text[:, 0])
    rank = (across > own[..., :1]).sum(-1)  # (S, FRAMES)
    few = data.objects <= 3
    return {
        "object_vs_wrong_object": float(right[..., :WRONG_OBJECT].float().mean()),
        "object_vs_wrong_object_up_to_3": float(right[few][..., :WRONG_OBJECT].float().mean()),
        "count_vs_wrong_count": float(right[..., WRONG_OBJECT:].float().mean()),
        "recall_at_1": float((rank < 1).float().mean()),
        "recall_at_5": float((rank < 5).float().mean()),
        "prompts": scenes,
    }


def save_head(head: Head, facts: dict[str, object]) -> None:
    """Writes the head in fp16 and its manifest."""
    weights = save({k: v.half() for k, v in head.state_dict().items()})
    (DATA / "text_lit.safetensors").write_bytes(weights)
    manifest = {"file": "text_lit.safetensors", "sha256": hashlib.sha256(weights).hexdigest(), "licence": "Apache-2.0"}
    (DATA / "text_lit.json").write_text(json.dumps({**manifest, **facts}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=1800, help="of the train split")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=48, help="frames a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, help="folder that keeps the towers' features")
    args = parser.parse_args()
    train_data = cached("train", args.scenes, args.seed, args.cache)
    test_data = cached("test", TEST_SCENES, TEST_SEED, args.cache)
    head = train(train_data, args.steps, args.batch, args.seed)
    facts = {
        "command": f"python scripts/train_text_lit.py --scenes {args.scenes} --steps {args.steps} "
        f"--batch {args.batch} --seed {args.seed}",
        "towers": {"lite0": Lite0.fingerprint, "minilm": MiniLM.fingerprint},
        "train_split": accuracy(head, train_data),
        "test_split": accuracy(head, test_data),
    }
    save_head(head, facts)
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()
