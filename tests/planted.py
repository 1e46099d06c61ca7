"""Copies planted among pictures, and whether `hilum audit` finds them.

    planted.py SOURCE OUT [--count N] [--seed N] [--groups CSV [--several]] [--hilum PROGRAM]

Takes N pictures of SOURCE (a folder of class folders; with --groups CSV one of each group, or with --several any, where
pairs of different pictures of one group are not judged, for they may be the same slice), makes one copy of each under
every transformation below, its parameters drawn at random, and prints per kind: recall, the share of copies that are
paired with their original; precision, the share of right pairs among all that are reported with that kind's copies; and
how often the pair is named as that kind. Needs python3-pil and python3-numpy.
"""
import argparse
import collections
import csv
import json
import os
import random
import shutil
import subprocess
import sys

import numpy
from PIL import Image, ImageOps

FILL = Image.Resampling.BICUBIC


def reencoded(image, rng):
    return image, dict(format="JPEG", quality=rng.randint(60, 95))


def resized(image, rng):
    factor = rng.choice([rng.uniform(0.5, 0.9), rng.uniform(1.1, 1.8)])
    return image.resize([max(32, round(side * factor)) for side in image.size], FILL), {}


def brightness(image, rng):
    gain, offset = rng.uniform(0.7, 1.3), rng.uniform(-25, 25)
    return image.point(lambda value: min(255, max(0, (value - 128) * gain + 128 + offset))), {}


def noise(image, rng):
    grey = numpy.asarray(image, dtype=float)
    grey += numpy.random.default_rng(rng.randrange(1 << 30)).normal(0, rng.uniform(3, 10), grey.shape)
    return Image.fromarray(grey.clip(0, 255).astype("uint8")), {}


def shifted(image, rng):
    while True:
        x, y = (round(rng.uniform(-0.06, 0.06) * side) for side in image.size)
        if abs(x) + abs(y) >= 0.02 * image.size[0]:
            return image.transform(image.size, Image.Transform.AFFINE, (1, 0, x, 0, 1, y)), {}


def cropped(image, rng):
    width, height = image.size
    share = rng.uniform(0.75, 0.95)
    w, h = round(width * share), round(height * share)
    x, y = rng.randint(0, width - w), rng.randint(0, height - h)
    return image.crop((x, y, x + w, y + h)), {}


def turned(image, rng):
    kind = rng.choice(list(Image.Transpose))
    return image.transpose(kind), {}


def rotated(image, rng):
    return image.rotate(rng.choice([-1, 1]) * rng.uniform(1.5, 10), FILL), {}


CHANGES = dict(reencoded=reencoded, resized=resized, brightness=brightness, noise=noise, shifted=shifted,
               cropped=cropped, turned=turned, rotated=rotated)


def choose(arguments, rng):
    folders = sorted(name for name in os.listdir(arguments.source) if os.path.isdir(os.path.join(arguments.source, name)))
    files = [f"{folder}/{name}" for folder in folders for name in sorted(os.listdir(os.path.join(arguments.source, folder)))
             if name.lower().endswith((".png", ".jpg", ".tif"))]
    group = {}
    if arguments.groups:
        with open(arguments.groups) as table:
            group = {row["path"]: row.get("group") or row.get("patient") for row in csv.DictReader(table)}
    rng.shuffle(files)
    taken, seen = [], set()
    for path in files:
        if arguments.several or group.get(path, path) not in seen:
            seen.add(group.get(path, path))
            taken.append(path)
    return taken[:arguments.count], group


def plant(arguments, rng):
    truth, group_of = {}, {}
    shutil.rmtree(arguments.out, ignore_errors=True)
    for side in "ab":
        os.makedirs(os.path.join(arguments.out, side))
    chosen, group = choose(arguments, rng)
    for number, path in enumerate(chosen):
        group_of[number] = group.get(path, path)
        image = ImageOps.grayscale(Image.open(os.path.join(arguments.source, path)))
        original = f"{'ab'[number % 2]}/{number:04d}.png"
        image.save(os.path.join(arguments.out, original))
        truth[original] = (number, "original")
        copies = {"bytes": f"a/{number:04d}-bytes.png", "pixels": f"b/{number:04d}-pixels.png"}
        shutil.copy(os.path.join(arguments.out, original), os.path.join(arguments.out, copies["bytes"]))
        image.save(os.path.join(arguments.out, copies["pixels"]), compress_level=1)
        for kind, change in CHANGES.items():
            changed, options = change(image, rng)
            copies[kind] = f"a/{number:04d}-{kind}.{'jpg' if options else 'png'}"
            changed.save(os.path.join(arguments.out, copies[kind]), **options)
        for kind, copy in copies.items():
            truth[copy] = (number, kind)
    return truth, group_of


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("out")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--groups")
    parser.add_argument("--several", action="store_true")
    parser.add_argument("--hilum", default=os.environ.get("HILUM", "hilum"))
    parser.add_argument("--least", type=float, help="fail where recall or precision of a kind is below this")
    arguments = parser.parse_args()
    truth, group_of = plant(arguments, random.Random(arguments.seed))
    done = subprocess.run([arguments.hilum, "audit", arguments.out, "--json", "--resamples", "0"], stdout=subprocess.PIPE,
                          check=True)
    audit = json.loads(done.stdout)
    found, right, wrong, named = (collections.Counter() for _ in range(4))
    planted = collections.Counter(kind for _, kind in truth.values())
    reached, examples, unjudged = collections.defaultdict(set), [], 0
    copies = [pair for pair in audit["pairs"] if pair["kind"] != "adjacent"]
    for pair in copies:
        (one, kind_one), (two, kind_two) = truth[pair["a"]], truth[pair["b"]]
        if one != two and group_of[one] == group_of[two]:
            unjudged += 1
            continue
        if one != two:
            examples.append(pair)
        for kind in {kind_one, kind_two} - {"original"}:
            (right if one == two else wrong)[kind] += 1
        if one == two:
            reached[pair["a"]].add(pair["b"])
            reached[pair["b"]].add(pair["a"])
            # Files with the same pixels are compared with others once for all of them.
            if {"original", "bytes", "pixels"} & {kind_one, kind_two} and pair["kind"] in (kind_one, kind_two):
                named[pair["kind"]] += 1
    for path, (number, kind) in truth.items():
        # Copies that are the same to the pixel are one picture: any of them stands for the original.
        found[kind] += any(truth[other][1] in ("original", "bytes", "pixels") for other in reached[path])
    poor = False
    print(f"{'kind':12}{'planted':>8}{'recall':>9}{'precision':>11}{'named so':>10}")
    for kind in ["bytes", "pixels", *CHANGES]:
        recall = found[kind] / planted[kind]
        precision = right[kind] / max(1, right[kind] + wrong[kind])
        poor = poor or (arguments.least is not None and min(recall, precision) < arguments.least)
        print(f"{kind:12}{planted[kind]:8}{recall:9.4f}{precision:11.4f}{named[kind] / planted[kind]:10.3f}")
    print(f"{len(copies)} pairs said to be copies, {len(examples)} of them are not, {unjudged} are of two pictures of one "
          f"group; {len(audit['pairs']) - len(copies)} pairs said to be neighbours")
    for pair in sorted(examples, key=lambda pair: -pair["detail"])[:5]:
        print("  ", pair)
    sys.exit(poor)


if __name__ == "__main__":
    main()
