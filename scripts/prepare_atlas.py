"""Make the picture atlas of the embedded scenes (flashbench/cases/scenes/atlas) from its public sources.

    npm pack @lobehub/fluent-emoji-3d@1.1.0
    apt-get download lomiri-wallpapers-16.04=20.04.0-2 mypaint-data-extras=2.0.1-9
    pip install pillow numpy scikit-image==0.26.0 scikit-learn==1.9.1
    python scripts/prepare_atlas.py --emoji TGZ --wallpapers DEB --textures DEB

The tables below are the whole choice: which pictures, under which names, in which split. Pictures that look alike
stand on one line and so cannot fall into different splits. With `--check` nothing is written; the rows and pixels are
compared with the atlas that is there (made with Pillow 13.0; another release may scale a pixel differently). Nothing is
imported from scikit-image or scikit-learn: only their picture files are read.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import io
import json
import lzma
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

OUT = Path(__file__).resolve().parent.parent / "flashbench" / "cases" / "scenes" / "atlas"
SIDE = 96  # px, longer side of a sprite
COLUMNS = 16  # of the sprite sheet
ALPHA_FLOOR = 8  # fainter pixels are made fully transparent
SHORT, LONG = 256, 384  # px, sides of a background
PACKAGES = {  # where the pictures come from, and where that source states authors and licences
    "lomiri": ("Debian package lomiri-wallpapers-16.04 20.04.0-2", "its Debian copyright file"),
    "mypaint": ("Debian package mypaint-data-extras 2.0.1-9", "its Debian copyright file"),
    "skimage": ("PyPI package scikit-image 0.26.0", "the docstrings of skimage.data"),
    "sklearn": ("PyPI package scikit-learn 1.9.1", "README.txt beside the pictures"),
}
LICENCES = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-2.0": "https://creativecommons.org/licenses/by/2.0/",
    "CC-BY-4.0": "https://creativecommons.org/licenses/by/4.0/",
    "public domain": "",
}
CREDITS = """# Whose pictures these are

Written by `scripts/prepare_atlas.py`; change its tables, not this file.

## Sprites (`sprites.webp`)

Microsoft's Fluent Emoji, 3D style, taken from the npm package `@lobehub/fluent-emoji-3d` 1.1.0 (LobeHub, MIT), cropped
and scaled. Their licence:

    MIT License

    Copyright (c) Microsoft Corporation.

    Permission is hereby granted, free of charge, to any person obtaining a copy
    of this software and associated documentation files (the "Software"), to deal
    in the Software without restriction, including without limitation the rights
    to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
    copies of the Software, and to permit persons to whom the Software is
    furnished to do so, subject to the following conditions:

    The above copyright notice and this permission notice shall be included in all
    copies or substantial portions of the Software.

    THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
    IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
    FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
    AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
    LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
    OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
    SOFTWARE.

The package as packed by LobeHub says: Copyright (c) 2023 LobeHub, MIT.

## Backgrounds (`backgrounds/`)

Each was cropped and scaled, nothing else; where one picture gave two files they are its left and right halves. No
author has endorsed this use.

@TABLE@

Licences:

@LICENCES@

Sources, and where they state author and licence:

@SOURCES@

Where those took them from: `astronaut.png` <https://flic.kr/p/r9qvLn>, `rocket.jpg`
<https://www.flickr.com/photos/spacexphotos/16511594820/>, `china.jpg`
<https://www.flickr.com/photos/danielbuechele/6061409035/>, `flower.jpg`
<https://www.flickr.com/photos/vultilion/6056698931/> (README.txt repeats danielbuechele beside this address; the owner
of the account is credited here), `grass.png`
<https://www.deviantart.com/linolafett/art/Grass-01-434853879>, `brick.png` and `gravel.png` CC0Textures, Bricks25 and
Gravel04.

## How to make them again

    npm pack @lobehub/fluent-emoji-3d@1.1.0
    apt-get download lomiri-wallpapers-16.04=20.04.0-2 mypaint-data-extras=2.0.1-9
    pip install pillow numpy scikit-image==0.26.0 scikit-learn==1.9.1
    python scripts/prepare_atlas.py --emoji TGZ --wallpapers DEB --textures DEB

`--check` compares instead of writing. The sums in `atlas.json` are SHA-256 over decoded pixels.
"""

ARCHIVES = {
    "emoji": "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    "wallpapers": "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
    "textures": "9d5971baa5eb411309940ea2cfe11aa7f6ec2c39e7f9ecd2bbef81fc6404b1d1",
}

# One line a group of look-alikes: emoji, noun phrase, `|` between sprites.
TEST = """
🦓 zebra
🦒 giraffe
🐖 pig
🐇 rabbit
🐧 penguin
🦉 owl
🦩 flamingo
🐢 turtle
🦀 crab
🦋 butterfly
🐞 ladybug
🐙 octopus
🐌 snail
🐿 chipmunk
🦘 kangaroo
🦜 parrot
🌻 sunflower
🌵 cactus
🍄 red mushroom
🍁 maple leaf
🍓 strawberry
🍍 pineapple
🍌 banana
🥕 carrot
🍆 eggplant
🍉 slice of watermelon
🍔 hamburger
🍕 slice of pizza
🍩 doughnut
🍦 ice cream cone
🥨 pretzel
🧀 wedge of cheese
🍭 lollipop
🫖 red teapot
🚜 green tractor
🚁 helicopter
🚀 rocket
🚲 bicycle
⛵ sailboat
🛵 motor scooter
🚂 steam locomotive
🚒 fire engine
🏀 basketball
🏈 American football | 🏉 rugby ball
🛹 skateboard
🪁 kite
☂ purple umbrella
🎸 electric guitar
🎺 trumpet
🔑 key | 🗝 old key
🔨 hammer
💡 light bulb
🪑 wooden chair
🎒 backpack
👑 golden crown
🧸 teddy bear
🔒 padlock
🧲 magnet
"""

TRAIN = """
🐕 dog
🐩 poodle
🐈 orange cat | 🐈‍⬛ black cat
🐅 tiger | 🐆 leopard
🐎 horse
🦌 deer
🦬 bison
🐄 cow
🐑 sheep
🐐 goat
🐪 camel
🦙 llama
🐘 elephant
🦏 rhinoceros
🦛 hippopotamus
🐁 white mouse
🦫 beaver
🦔 hedgehog
🦇 bat
🦨 skunk
🦃 turkey
🐓 rooster
🐤 yellow chick
🐦 red bird
🕊 white dove
🦅 eagle
🦆 duck
🦢 swan
🦚 peacock
🐊 crocodile
🦎 lizard
🐍 green snake | 🐉 green dragon
🦕 long-necked dinosaur | 🦖 tyrannosaurus
🐋 blue whale
🐬 dolphin
🦭 seal
🐟 blue fish
🐠 tropical fish
🐡 blowfish
🦈 shark
🐚 seashell
🪼 jellyfish
🐛 caterpillar
🐝 honeybee
🪲 green beetle
🕷 spider
🦂 scorpion
🦞 lobster
🦐 shrimp
🦑 squid
🐒 monkey
🦍 gorilla
🌹 red rose
🌺 hibiscus flower
🌷 tulip
🪴 potted plant
🌲 evergreen tree | 🎄 Christmas tree
🌳 leafy tree
🌴 palm tree
🍀 four-leaf clover
🍇 bunch of grapes
🍊 tangerine
🍋 lemon
🥭 mango
🍎 red apple | 🍏 green apple
🍐 pear
🍑 peach
🍒 pair of cherries
🥝 kiwi fruit
🍅 tomato
🥥 coconut
🥑 avocado
🥔 potato
🌽 ear of corn
🌶 chili pepper
🫑 green bell pepper
🥒 cucumber
🥬 head of lettuce
🥦 broccoli floret
🧄 garlic bulb
🧅 onion
🥜 peanut
🍞 loaf of bread
🥐 croissant
🥖 baguette
🥞 stack of pancakes
🍗 chicken drumstick
🍟 box of french fries
🌭 hot dog
🥪 sandwich
🌮 taco
🥚 brown egg
🍳 frying pan
🍿 bucket of popcorn
🍣 piece of sushi
🍪 chocolate chip cookie
🎂 birthday cake
🍰 slice of cake
🧁 cupcake
🍫 chocolate bar
🍬 wrapped candy
☕ cup of coffee
🥤 soda cup
🧃 juice box
🔪 kitchen knife
🏺 clay amphora
🚅 bullet train
🚌 orange bus
🚑 ambulance
🚓 police car | 🚕 taxi | 🚗 red car | 🚙 blue car
🛻 pickup truck
🚚 delivery truck
🏎 race car
🏍 motorcycle
🛺 auto rickshaw
🛼 roller skate
⚓ anchor
🛟 life ring
🛶 canoe
🚤 speedboat
🛳 cruise ship
✈ airplane
🛸 flying saucer
🚦 traffic light
⚽ soccer ball
⚾ baseball
🏐 volleyball
🏓 table tennis paddle
🥊 boxing glove
⛸ ice skate
🛷 wooden sled
🥌 curling stone
🎯 dartboard
🎱 eight ball
🎲 white die
🧩 puzzle piece
🏆 trophy
🎁 wrapped gift
🎈 red balloon
🏮 paper lantern
👕 green T-shirt
👖 pair of jeans
🧦 pair of socks
👗 blue dress
👜 handbag
👟 running shoe
🥾 hiking boot
👠 high-heeled shoe
🎩 top hat
🧢 baseball cap
💎 blue gem
🎷 saxophone
🪗 accordion
🎻 violin
🥁 drum
🔔 golden bell
☎ red telephone
💻 laptop
📺 television
📷 camera
🔍 magnifying glass
🕯 candle
🔦 flashlight
📕 red book | 📗 green book | 📘 blue book
📦 cardboard box
✏ pencil | 🖍 crayon
✂ pair of scissors
🪓 axe
🔧 wrench
🪛 screwdriver
🛡 shield
🪜 ladder
🛋 couch
🪣 bucket
🧺 wicker basket
🧹 broom
🧯 fire extinguisher
🏠 house
⛺ tent
⭐ yellow star
⛄ snowman
🪐 ringed planet
🧭 compass
⌛ hourglass
🪶 feather
🧳 suitcase
🪃 boomerang
🧶 ball of yarn
"""

PLURALS = {
    "bison": "bison", "box": "boxes", "cactus": "cacti", "deer": "deer", "die": "dice", "fish": "fish",
    "blowfish": "blowfish", "jellyfish": "jellyfish", "knife": "knives", "leaf": "leaves", "loaf": "loaves",
    "mango": "mangoes", "mouse": "mice", "potato": "potatoes", "sheep": "sheep", "shrimp": "shrimp",
    "snowman": "snowmen", "squid": "squid", "tomato": "tomatoes",
}  # fmt: skip
AN = ("hourglass",)  # begins with a vowel when spoken
WHOLE = (0.0, 0.0, 1.0, 1.0)
LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


@dataclass(frozen=True)
class Picture:
    """A background's source: its file, whose it is, and which parts are taken (x0, y0, x1, y1 as fractions)."""

    name: str
    kind: str
    split: str
    author: str
    licence: str
    source: str  # lomiri:FILE, mypaint:FILE, skimage:FILE or sklearn:FILE
    crops: tuple[tuple[float, float, float, float], ...] = (WHOLE,)


AITZOL, FREESPACE = "Aitzol Berasategi", 'Trevor "Freespace"'
RAMON, MAMURK, CLEMENS = "Ramón Miranda", "MrMamurk", "Clemens Engelhardt"
CC0, BY2, BY4, PD = "CC0-1.0", "CC-BY-2.0", "CC-BY-4.0", "public domain"
HALVES = (LEFT, RIGHT)
PICTURES = (
    Picture("autumn meadow", "photo", "test", AITZOL, BY4, "lomiri:aitzgorri_by_Aitzol_Berasategi.jpg", HALVES),
    Picture("dandelions", "photo", "test", CLEMENS, CC0, "lomiri:seeding_by_Clements_Engelhardt.jpg", HALVES),
    Picture("launch pad", "photo", "test", "SpaceX", PD, "skimage:rocket.jpg"),
    Picture("coffee cup", "photo", "test", "Rachel Michetti", CC0, "skimage:coffee.png"),
    Picture("temple", "photo", "test", "danielbuechele (Flickr)", BY2, "sklearn:china.jpg"),
    Picture("dogs at a window", "photo", "train", AITZOL, BY4, "lomiri:friends_by_Aitzol_Berasategi.jpg"),
    Picture("forest stream", "photo", "train", AITZOL, BY4, "lomiri:life_by_Aitzol_Berasategi.jpg", HALVES),
    Picture("mountains", "photo", "train", AITZOL, BY4, "lomiri:picosdeeuropa_by_Aitzol_Berasategi.jpg", HALVES),
    Picture("sunset", "photo", "train", AITZOL, BY4, "lomiri:sunset_by_Aitzol_Berasategi.jpg", HALVES),
    Picture("red bowl", "photo", "train", FREESPACE, BY4, "lomiri:Picture_0B_by_freespace.jpg"),
    Picture("paintbrushes", "photo", "train", FREESPACE, BY4, "lomiri:Picture_1A_by_freespace.jpg"),
    Picture("living room", "photo", "train", "Jakub Mede", BY4, "lomiri:Wine_by_Jakkub_Mede.jpg"),
    Picture("astronaut", "photo", "train", "NASA", PD, "skimage:astronaut.png"),
    Picture("deep sky", "photo", "train", "NASA", PD, "skimage:hubble_deep_field.jpg"),
    Picture("cat's face", "photo", "train", "Stefan van der Walt", CC0, "skimage:chelsea.png"),  # cat.png is the same
    Picture("dahlia", "photo", "train", "vultilion (Flickr)", BY2, "sklearn:flower.jpg"),
    Picture("gravel", "texture", "test", "CC0Textures", CC0, "skimage:gravel.png"),
    Picture("cork", "texture", "test", RAMON, CC0, "mypaint:ramon/HR_Cork.png"),
    Picture("rough paper", "texture", "test", RAMON, CC0, "mypaint:ramon/HR_RoughPaper.png"),
    Picture("peach paper", "texture", "test", MAMURK, CC0, "mypaint:mrmamurk/mamurk_f_1.png"),
    Picture("rainbow haze", "texture", "train", "Abhishek Mudgal", BY4, "lomiri:umang_by_Abhishek_Mudgal.jpg"),
    Picture("bricks", "texture", "train", "CC0Textures", CC0, "skimage:brick.png"),
    Picture("grass", "texture", "train", "linolafett (DeviantArt)", CC0, "skimage:grass.png"),
    Picture("canvas", "texture", "train", RAMON, CC0, "mypaint:ramon/HR_Canvas 01.png"),
    Picture("fibre paper", "texture", "train", RAMON, CC0, "mypaint:ramon/HR_DecoPaper.png"),
    Picture("mint paper", "texture", "train", RAMON, CC0, "mypaint:ramon/HR_PastelPaper 01.png"),
    Picture("mauve paper", "texture", "train", RAMON, CC0, "mypaint:ramon/HR_PastelPaper 02.png"),
    Picture("dark ribbed paper", "texture", "train", RAMON, CC0, "mypaint:ramon/HR_SketchPaper 02.png"),
    Picture("green paper", "texture", "train", MAMURK, CC0, "mypaint:mrmamurk/mamurk_a_2.png"),
    Picture("purple paper", "texture", "train", MAMURK, CC0, "mypaint:mrmamurk/mamurk_b_1.png"),
)


def plural_of(name: str) -> str:
    """`slice of pizza` -> `slices of pizza`, `red apple` -> `red apples`, `maple leaf` -> `maple leaves`."""
    head, of, rest = name.partition(" of ")
    before, _, noun = head.rpartition(" ")
    if head in PLURALS:
        return PLURALS[head] + of + rest
    if noun in PLURALS:
        plural = PLURALS[noun]
    elif noun.endswith(("s", "x", "ch", "sh")):
        plural = noun + "es"
    elif noun.endswith("y") and noun[-2] not in "aeiou":
        plural = noun[:-1] + "ies"
    else:
        plural = noun + "s"
    return (before + " " + plural if before else plural) + of + rest


def article_of(name: str) -> str:
    """`an` before a vowel sound, else `a`."""
    return "an" if name[0].lower() in "aeiou" or name in AN else "a"


def code_of(emoji: str) -> str:
    """`1f426-200d-2b1b`: code points joined by `-`, without variation selectors."""
    return "-".join(f"{ord(c):x}" for c in emoji if c != "\ufe0f")


def read_tar(data: bytes) -> dict[str, bytes]:
    """Every plain file of a tar archive (plain, gz or xz) by its path without a leading `./`."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = [m for m in tar.getmembers() if m.isfile()]
        return {m.name.removeprefix("./"): f.read() for m in members if (f := tar.extractfile(m)) is not None}


def read_deb(data: bytes) -> dict[str, bytes]:
    """The files that a Debian package installs: its ar member data.tar.xz."""
    at = len(b"!<arch>\n")
    while at < len(data):
        name, size = data[at : at + 16].decode().strip().rstrip("/"), int(data[at + 48 : at + 58])
        if name == "data.tar.xz":
            return read_tar(lzma.decompress(data[at + 60 : at + 60 + size]))
        at += 60 + size + size % 2
    raise SystemExit("the package holds no data.tar.xz; give the version that the head of this script names")


def cut_sprite(data: bytes) -> npt.NDArray[np.uint8]:
    """Crop to the alpha box, scale so that the longer side is SIDE, centre, and clear what is nearly transparent."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    image = image.crop(image.getchannel("A").point(lambda a: 255 * (a >= ALPHA_FLOOR)).getbbox())
    scale = SIDE / max(image.size)
    size = tuple(max(1, round(s * scale)) for s in image.size)
    image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS)  # Pillow weighs colour with alpha
    out = np.zeros((SIDE, SIDE, 4), np.uint8)
    x, y = (SIDE - size[0]) // 2, (SIDE - size[1]) // 2
    out[y : y + size[1], x : x + size[0]] = np.asarray(image)
    out[out[..., 3] < ALPHA_FLOOR] = 0
    return out


def cut_background(data: bytes, crop: tuple[float, float, float, float], kind: str) -> npt.NDArray[np.uint8]:
    """Take the part `crop`, trim it about its centre to at most LONG : SHORT (a texture to a square), scale."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    x0, x1 = round(crop[0] * image.width), round(crop[2] * image.width)
    y0, y1 = round(crop[1] * image.height), round(crop[3] * image.height)
    w, h = x1 - x0, y1 - y0
    if kind == "texture":
        w, h = min(w, h), min(w, h)
    else:
        w, h = min(w, round(h * LONG / SHORT)), min(h, round(w * LONG / SHORT))
    x0, y0 = x0 + (x1 - x0 - w) // 2, y0 + (y1 - y0 - h) // 2
    scale = SHORT / min(w, h)
    size = (min(LONG, round(w * scale)), min(LONG, round(h * scale)))
    part = image.crop((x0, y0, x0 + w, y0 + h)).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(part)


def sha256(pixels: npt.NDArray[np.uint8]) -> str:
    """Over the raw pixels, row by row: does not depend on how the file was compressed."""
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Lossless WebP: a fifth smaller than PNG here, and every decoder gives the same pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, quality=75, method=4, exact=True)
    return buffer.getvalue()


def make(emoji: dict[str, bytes], pictures: dict[str, bytes]) -> dict[str, bytes]:
    """All files of the atlas by their path in the folder."""
    files: dict[str, bytes] = {}
    rows: list[dict[str, str | int]] = []
    cells = []
    for split, table in (("train", TRAIN), ("test", TEST)):
        for group, line in enumerate(table.strip().splitlines()):
            for entry in line.split("|"):
                char, name = entry.strip().split(" ", 1)
                code, where = code_of(char), "package/assets/"
                data = emoji.get(f"{where}{code}.webp") or emoji[f"{where}{code}-fe0f.webp"]
                words = {"name": name, "plural": plural_of(name), "article": article_of(name)}
                rows.append({**words, "code": code, "split": split, "group": f"{split}-{group}", "index": len(rows)})
                cells.append(cut_sprite(data))
    sheet = np.zeros((-(-len(cells) // COLUMNS) * SIDE, COLUMNS * SIDE, 4), np.uint8)
    for i, cell in enumerate(cells):
        y, x = i // COLUMNS * SIDE, i % COLUMNS * SIDE
        sheet[y : y + SIDE, x : x + SIDE] = cell
    files["sprites.webp"] = encode(sheet)
    backgrounds = []
    for p in PICTURES:
        for i, crop in enumerate(p.crops):
            name = p.name if len(p.crops) == 1 else f"{p.name}, part {i + 1}"
            path = "backgrounds/" + name.replace("'", "").replace(",", "").replace(" ", "_") + ".webp"
            pixels = cut_background(pictures[p.source], crop, p.kind)
            files[path] = encode(pixels)
            row = {"name": name, "kind": p.kind, "split": p.split, "author": p.author, "licence": p.licence}
            backgrounds.append({**row, "source": p.source, "file": path, "sha256": sha256(pixels)})
    head = {"side": SIDE, "columns": COLUMNS, "sheet": "sprites.webp", "sha256": sha256(sheet)}
    text = json.dumps(head)[:-1]
    for key, items in (("sprites", rows), ("backgrounds", backgrounds)):  # one row a line, so that a diff is read
        text += f',\n"{key}": [\n' + ",\n".join(json.dumps(r, ensure_ascii=False) for r in items) + "\n]"
    files["atlas.json"] = (text + "}\n").encode()
    files["CREDITS.md"] = credits_text().encode()
    return files


def credits_text() -> str:
    """CREDITS.md: one row a picture, from the same table as the pictures."""
    table = ["| background | author | licence | source |", "| --- | --- | --- | --- |"]
    for p in PICTURES:
        package, file = p.source.split(":", 1)
        table.append(f"| {p.name} | {p.author} | {p.licence} | {package}: `{file}` |")
    licences = "\n".join(f"- {name}: <{url}>" for name, url in LICENCES.items() if url)
    sources = "\n".join(f"- {key}: {package}; {where}" for key, (package, where) in PACKAGES.items())
    text = CREDITS.replace("@TABLE@", "\n".join(table))
    return text.replace("@LICENCES@", licences).replace("@SOURCES@", sources)


def read_archive(path: Path, kind: str) -> bytes:
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != ARCHIVES[kind]:
        raise SystemExit(f"{path}: not the archive of the atlas; get the version named at the head of this script")
    return data


def read_package(package: str, folder: str, names: list[str]) -> dict[str, bytes]:
    """Files of an installed package, which is not imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; see the head of this script")
    return {f"{package}:{n}": (Path(spec.submodule_search_locations[0]) / folder / n).read_bytes() for n in names}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind in ARCHIVES:
        parser.add_argument(f"--{kind}", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the atlas there")
    args = parser.parse_args()

    wanted = [p.source.split(":", 1) for p in PICTURES]
    pictures = {
        **read_package("skimage", "data", [f for where, f in wanted if where == "skimage"]),
        **read_package("sklearn", "datasets/images", [f for where, f in wanted if where == "sklearn"]),
    }
    for kind, prefix, root in (
        ("wallpapers", "lomiri:", "usr/share/backgrounds/"),
        ("textures", "mypaint:", "usr/share/mypaint/backgrounds/"),
    ):
        installed = read_deb(read_archive(getattr(args, kind), kind))
        pictures.update({prefix + n.removeprefix(root): d for n, d in installed.items() if n.startswith(root)})
    files = make(read_tar(read_archive(args.emoji, "emoji")), pictures)
    if args.check:  # atlas.json holds the sum of every picture's pixels; the loader checks the files against it
        other = [n for n in ("atlas.json", "CREDITS.md") if (args.out / n).read_bytes() != files[n]]
        raise SystemExit(f"{args.out}: {' and '.join(other)} would change" if other else 0)
    for path, data in files.items():
        (args.out / path).parent.mkdir(parents=True, exist_ok=True)
        (args.out / path).write_bytes(data)
    print(f"{args.out}: {len(files)} files, {sum(map(len, files.values())) / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
