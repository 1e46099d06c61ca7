"""Pictures that are no chest CT, and whether `hilum predict` refuses them.

    refusal.py make PACKAGES PHANTOMS OUT [--seed N]
    refusal.py score MODEL OUT [--hilum PROGRAM] [--chest NAME=FOLDER]... [--list FILE]

make writes OUT/SOURCE/*.png and OUT/pictures.csv (path, source, unit, half). PACKAGES is a folder into which the Debian
packages named in SOURCES below are unpacked (`apt-get download`, `dpkg -x X.deb PACKAGES/X`); a package that is missing
makes its source smaller. PHANTOMS holds pictures of `hilum phantom`, of which chests that are none any more are made.
Pictures of one unit (one volume, one phantom) are on one side of the halves: "tune", which limits may be chosen on, and
"test". score prints, per source and half, the share that is refused, and of the chests how many are refused too. MODEL has
to be one whose training pictures are slices of chests. Needs python3-pil and python3-numpy.
"""
import argparse
import collections
import csv
import gzip
import hashlib
import json
import math
import os
import plistlib
import random
import struct
import subprocess
import sys
import tarfile

import numpy
from PIL import Image, ImageDraw, ImageFile, ImageFilter, ImageFont

ImageFile.LOAD_TRUNCATED_IMAGES = True
Image.MAX_IMAGE_PIXELS = None
SIDE = 768
SMALLEST = 48

# Source: (most pictures, [(package, part of the path, endings)])
SOURCES = {
    "photographs": (260, [("gnome-backgrounds", "", ".webp"), ("mate-backgrounds", "nature", ".jpg"),
                          ("plasma-workspace-wallpapers", "contents/images", ".jpg .png"),
                          ("lomiri-wallpapers-16.04", "", ".jpg"), ("lomiri-wallpapers-20.04", "", ".jpg"),
                          ("sway-backgrounds", "", ".png"), ("ukui-wallpapers", "", ".jpg .png"),
                          ("desktop-base", "", ".jpg"), ("python3-sklearn", "", ".jpg"),
                          ("python3-skimage", "skimage/data/", ".png .jpg"), ("mrpt-common", "", ".jpg"),
                          ("opencv-doc", "examples/data", ".jpg .jpeg .png"), ("opencv-doc", "examples/text", ".jpg"),
                          ("xplanet-images", "", ".jpg .png")]),
    "manual": (380, [("opencv-doc", "opencv4/html", ".jpg .jpeg .png")]),
    "stamps": (200, [("tuxpaint-stamps-default", "", ".png")]),
    "clip art": (330, [("openclipart-png", "", ".png")]),
    "maps": (120, [("kgeography-data", "", ".png")]),
    "diagrams": (130, [("libvigraimpex-doc", "", ".png .jpg"), ("python-matplotlib-data", "", ".png"),
                       ("python3-mne", "", ".png")]),
}


def stable(text):
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16)


def on_white(image):
    if image.mode in ("P", "LA", "RGBA"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


def found(packages, wanted):
    """Pictures of packages, one of each name: the same at several sizes counts once."""
    seen = set()
    for package, part, endings in wanted:
        for folder, folders, names in os.walk(os.path.join(packages, package)):
            folders.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)
                short = path[len(packages):]
                if part not in short or not name.lower().endswith(tuple(endings.split())) or os.path.islink(path):
                    continue
                key = folder if name[0].isdigit() and "x" in name else name.split(".")[0].rstrip("0123456789")
                key = key if "plasma" in package else name
                if key in seen:
                    continue
                seen.add(key)
                yield short, path


def from_packages(packages):
    for source, (most, wanted) in SOURCES.items():
        taken = 0
        for short, path in sorted(found(packages, wanted), key=lambda item: stable(item[0])):
            try:
                image = on_white(Image.open(path))
            except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                continue
            if min(image.size) < SMALLEST or max(image.size) > 8 * min(image.size):
                continue
            image.thumbnail((SIDE, SIDE))
            # Every other one in grey, so that colour does not give it away.
            if stable("grey" + short) % 2:
                image = image.convert("L")
            yield source + (" in grey" if image.mode == "L" else " in colour"), short, image
            taken += 1
            if taken == most:
                break


def windowed(values, low, high):
    return Image.fromarray(((values - low) / (high - low) * 255).clip(0, 255).astype("uint8"))


def nifti(path):
    with gzip.open(path) as file:
        data = file.read()
    dims, kind = struct.unpack("<8h", data[40:56]), struct.unpack("<h", data[70:72])[0]
    start = int(struct.unpack("<f", data[108:112])[0])
    values = numpy.frombuffer(data, {2: "u1", 4: "<i2", 16: "<f4", 512: "<u2"}[kind], offset=start,
                              count=dims[1] * dims[2] * dims[3])
    return values.reshape(dims[3], dims[2], dims[1]).astype(float)


def brains(packages):
    folder = os.path.join(packages, "mricron-data/usr/share/mricron/templates")
    for name, step in (("ch2", 5), ("ch2better", 9), ("inia19-t1-brain", 5), ("jhu189", 6)):
        path = os.path.join(folder, name + ".nii.gz")
        if not os.path.exists(path):
            continue
        volume = nifti(path)
        top = numpy.percentile(volume, 99.7)
        for axis, title in enumerate(("axial", "coronal", "sagittal")):
            size = volume.shape[axis]
            for i in range(size // 8, size * 7 // 8, step if axis == 0 else 2 * step):
                yield f"MR of the brain, {title}", name, windowed(numpy.flipud(numpy.take(volume, i, axis)), 0, top)


def heads(packages):
    """A head's CT, through windows as they are used."""
    path = os.path.join(packages, "invesalius-examples/usr/share/doc/invesalius-examples/examples/Cranium.inv3")
    if not os.path.exists(path):
        return
    with tarfile.open(path) as tar:
        members = {member.name.split("/")[-1]: member for member in tar.getmembers()}
        about = plistlib.loads(tar.extractfile(members["main.plist"]).read())
        shape = about["matrix"]["shape"] if "matrix" in about else about["shape"]
        volume = numpy.frombuffer(tar.extractfile(members["matrix.dat"]).read(), "<i2").reshape(shape)
    windows = {"lung": (-1350, 150), "brain": (0, 80), "bone": (-200, 1300)}
    for z in range(volume.shape[0]):
        name = list(windows)[z % 3]
        yield "CT of the head", "cranium", windowed(volume[z].astype(float), *windows[name])


# ---- phantoms of other parts, in Hounsfield units ----

def grid(size):
    y, x = numpy.mgrid[0:size, 0:size]
    return (x - size / 2) / size * 2, (y - size / 2) / size * 2


def ellipse(x, y, cx, cy, rx, ry, turn=0.0):
    c, s = math.cos(turn), math.sin(turn)
    u, v = (x - cx) * c + (y - cy) * s, -(x - cx) * s + (y - cy) * c
    return (u / rx) ** 2 + (v / ry) ** 2 < 1


def part(kind, rng):
    """A slice of a body part on air: ellipses of tissue, bone and, in bowels, gas."""
    size = rng.choice([256, 320, 512])
    x, y = grid(size)
    hu = numpy.full((size, size), -1000.0)
    u = rng.uniform
    if kind in ("abdomen", "pelvis"):
        rx, ry = u(0.6, 0.9), u(0.42, 0.62)
        hu[ellipse(x, y, 0, 0, rx, ry)] = -100
        hu[ellipse(x, y, 0, 0, rx * u(0.8, 0.92), ry * u(0.78, 0.9))] = 40
        for _ in range(rng.randint(4, 14)):
            hu[ellipse(x, y, u(-0.45, 0.45), u(-0.25, 0.25), u(0.04, 0.22), u(0.04, 0.16), u(0, 3))] = u(-100, 120)
        for _ in range(rng.randint(0, 6)):  # gas in the bowel
            hu[ellipse(x, y, u(-0.45, 0.45), u(-0.28, 0.1), u(0.02, 0.1), u(0.02, 0.07), u(0, 3))] = -950
        hu[ellipse(x, y, 0, ry * 0.62, 0.09, 0.08)] = u(250, 500)
        if kind == "pelvis":
            for side in (-1, 1):
                hu[ellipse(x, y, side * u(0.35, 0.5), 0.1, u(0.08, 0.16), u(0.1, 0.25), side * u(0, 1))] = u(300, 900)
    elif kind == "head":
        rx, ry = u(0.45, 0.62), u(0.55, 0.78)
        hu[ellipse(x, y, 0, 0, rx, ry)] = 30
        hu[ellipse(x, y, 0, 0, rx * 0.93, ry * 0.94)] = u(800, 1400)
        hu[ellipse(x, y, 0, 0, rx * 0.85, ry * 0.87)] = u(25, 45)
        for side in (-1, 1):
            hu[ellipse(x, y, side * 0.08, u(-0.15, 0.1), 0.05, u(0.1, 0.2), side * 0.3)] = 5
        if rng.random() < 0.4:  # sinuses, mastoid cells
            for side in (-1, 1):
                hu[ellipse(x, y, side * rx * 0.3, -ry * 0.6, u(0.05, 0.12), u(0.05, 0.15))] = -1000
    elif kind == "neck":
        hu[ellipse(x, y, 0, 0, u(0.35, 0.5), u(0.35, 0.5))] = -80
        hu[ellipse(x, y, 0, 0, 0.33, 0.33)] = 50
        hu[ellipse(x, y, 0, -0.12, u(0.04, 0.07), u(0.04, 0.07))] = -1000
        hu[ellipse(x, y, 0, 0.15, 0.12, 0.1)] = u(300, 700)
    else:  # limbs: one or two, each with one or two bones
        count = rng.choice([1, 2, 2])
        for k in range(count):
            cx = 0 if count == 1 else (k * 2 - 1) * u(0.35, 0.5)
            r = u(0.2, 0.34) if count == 2 else u(0.25, 0.6)
            hu[ellipse(x, y, cx, 0, r, r * u(0.8, 1.1))] = -90
            hu[ellipse(x, y, cx, 0, r * 0.85, r * 0.8)] = 50
            for _ in range(rng.randint(1, 2)):
                bx, by, b = cx + u(-0.3, 0.3) * r, u(-0.3, 0.3) * r, r * u(0.15, 0.3)
                hu[ellipse(x, y, bx, by, b, b)] = u(700, 1300)
                hu[ellipse(x, y, bx, by, b * 0.6, b * 0.6)] = -50
    if rng.random() < 0.5:
        hu[(y > 0.86) & (y < 0.9) & (abs(x) < 0.7)] = -300
    noise = numpy.random.default_rng(rng.randrange(1 << 30)).normal(0, u(5, 40), hu.shape)
    window = rng.choice([(-1350, 150), (-1350, 150), (-160, 240), (-450, 1050), (-1000, 1000)])
    image = windowed(hu + noise, *window).filter(ImageFilter.GaussianBlur(u(0.3, 1.2)))
    return image


def parts(rng):
    for kind, count in (("abdomen", 100), ("pelvis", 50), ("head", 50), ("neck", 30), ("limbs", 60)):
        for i in range(count):
            yield f"phantom of the {kind}", f"{kind}{i}", part(kind, rng)


# ---- noise and nothing ----

def noises(rng):
    for i in range(200):
        draw = numpy.random.default_rng(rng.randrange(1 << 30))
        size = rng.choice([64, 128, 256, 512])
        kind = i % 10
        y, x = numpy.mgrid[0:size, 0:size] / size
        if kind == 0:
            values = draw.normal(rng.uniform(60, 190), rng.uniform(5, 60), (size, size))
        elif kind == 1:
            values = draw.uniform(0, 255, (size, size))
        elif kind == 2:
            values = draw.integers(0, 256, (size, size, 3))
        elif kind in (3, 4):  # clouds: amplitudes that fall with frequency
            f = numpy.hypot(*numpy.meshgrid(numpy.fft.fftfreq(size), numpy.fft.fftfreq(size)))
            f[0, 0] = 1
            power = rng.uniform(0.8, 2.2)
            values = numpy.fft.ifft2(numpy.fft.fft2(draw.normal(size=(size, size))) / f ** power).real
            values = 128 + 60 * (values - values.mean()) / values.std()
        elif kind == 5:
            values = numpy.where(draw.random((size, size)) < rng.uniform(0.02, 0.5), 255, rng.choice([0, 128]))
        elif kind == 6:
            values = numpy.full((size, size), float(rng.choice([0, 255, rng.randrange(256)])))
        elif kind == 7:
            values = 255 * (x * rng.uniform(-1, 1) + y * rng.uniform(-1, 1) + 0.5)
        elif kind == 8:
            values = 127 + 127 * numpy.sin(2 * math.pi * (x * rng.uniform(1, 40) + y * rng.uniform(1, 40)))
        else:
            cells = rng.choice([4, 8, 16, 32])
            values = numpy.kron(draw.integers(0, 256, (cells, cells)), numpy.ones((size // cells,) * 2))
        names = ["grains", "grains", "grains", "clouds", "clouds", "salt", "blank", "gradient", "stripes", "tiles"]
        yield "noise: " + names[kind], f"noise{i}", Image.fromarray(numpy.asarray(values).clip(0, 255).astype("uint8"))


# ---- pages of text ----

WORDS = ("lung nodule the a of and patient shows no evidence right left upper lobe measured scan contrast without findings "
         "impression stable effusion margin solid dose slice table figure result method we by in on with 12 mm 2024").split()


def pages(rng):
    fonts = [os.path.join("/usr/share/fonts/truetype/dejavu", name)
             for name in ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf")]
    fonts = [name for name in fonts if os.path.exists(name)]
    for i in range(100):
        width, height = rng.choice([(512, 512), (480, 680), (680, 480), (256, 256)])
        dark = rng.random() < 0.3
        image = Image.new("L", (width, height), 0 if dark else 255)
        draw, size = ImageDraw.Draw(image), rng.randint(8, 28)
        font = ImageFont.truetype(rng.choice(fonts), size) if fonts else ImageFont.load_default()
        margin = rng.randint(8, 60)
        for y in range(margin, height - margin, round(size * 1.4)):
            if rng.random() < 0.1:
                continue
            line = ""
            while draw.textlength(line, font=font) < (width - 2 * margin) * rng.uniform(0.7, 1):
                line += rng.choice(WORDS) + " "
            draw.text((margin, y), line, fill=255 if dark else 0, font=font)
        yield "text", f"page{i}", image


# ---- chests that are none any more ----

def scrambled(values, draw):
    """Phases at random: the spectrum of a chest without its shape."""
    spectrum = numpy.fft.fft2(values)
    phase = numpy.angle(numpy.fft.fft2(draw.normal(size=values.shape)))
    return numpy.fft.ifft2(abs(spectrum) * numpy.exp(1j * phase)).real


def tiles(values, draw, count=4):
    size = values.shape[0] // count * count
    cells = values[:size, :size].reshape(count, size // count, count, size // count).swapaxes(1, 2)
    cells = cells.reshape(-1, size // count, size // count)[draw.permutation(count * count)]
    return cells.reshape(count, count, size // count, size // count).swapaxes(1, 2).reshape(size, size)


def ruined(values, kind, draw):
    size = values.shape[0]
    if kind == "inverted":
        return 255 - values
    if kind == "in tiles":
        return tiles(values, draw)
    if kind == "a quarter":
        y, x = draw.integers(0, 2, 2) * (size // 2)
        return values[y:y + size // 2, x:x + size // 2]
    if kind == "lungs filled":  # all that is dark and not reached from the corners becomes tissue
        dark = Image.fromarray(numpy.where(values < 170, 0, 255).astype("uint8"))
        for corner in ((0, 0), (0, size - 1), (size - 1, 0), (size - 1, size - 1), (size // 2, 0), (size // 2, size - 1)):
            if dark.getpixel(corner) == 0:
                ImageDraw.floodfill(dark, corner, 100)
        return numpy.where(numpy.asarray(dark) == 0, 200, values)
    if kind == "scrambled phases":
        return scrambled(values, draw)
    if kind == "shuffled pixels":
        return draw.permutation(values.ravel()).reshape(values.shape)
    if kind == "drowned in noise":
        return 128 + 0.15 * (values - 128) + draw.normal(0, 60, values.shape)
    if kind == "only a strip":
        return numpy.where((numpy.arange(size)[:, None] > size * 0.4) & (numpy.arange(size)[:, None] < size * 0.55), values, 0)
    return values * 0.02 + draw.integers(0, 250)  # nearly blank


RUINS = ("inverted", "in tiles", "a quarter", "lungs filled", "scrambled phases", "shuffled pixels", "drowned in noise",
         "only a strip", "faded")


def ruins(phantoms, rng):
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(phantoms) for name in names
                   if name.endswith(".png"))
    for i, path in enumerate(files[:180]):
        kind = RUINS[i % len(RUINS)]
        draw = numpy.random.default_rng(rng.randrange(1 << 30))
        values = numpy.asarray(Image.open(path).convert("L"), dtype=float)
        yield f"ruined chest: {kind}", os.path.basename(path), Image.fromarray(
            ruined(values, kind, draw).clip(0, 255).astype("uint8"))


def radiographs(rng):
    """Chests as X-rays show them: attenuation along the way, summed up over ellipsoids."""
    for i in range(60):
        size = rng.choice([256, 512])
        x, y = grid(size)
        u = rng.uniform
        sums = 1.6 * numpy.sqrt(numpy.clip(1 - (x / u(0.85, 1.1)) ** 4 - (y / 1.5) ** 4, 0, None))
        for side in (-1, 1):
            lung = numpy.clip(1 - ((x - side * 0.42) / u(0.26, 0.34)) ** 2 - ((y + 0.05) / u(0.55, 0.75)) ** 2, 0, None)
            sums -= u(0.7, 1.0) * numpy.sqrt(lung)
        sums += 0.8 * numpy.sqrt(numpy.clip(1 - ((x - 0.1) / 0.25) ** 2 - ((y - 0.2) / 0.35) ** 2, 0, None))
        sums += 0.35 * (abs(x) < 0.07)
        for k in range(9):
            for side in (-1, 1):
                curve = abs(y + 0.75 - k * 0.17 - 0.35 * (x - side * 0.05) ** 2 - 0.1)
                sums += 0.08 * ((curve < 0.02) & (side * x > 0.08) & (side * x < 0.8))
        sums += numpy.random.default_rng(rng.randrange(1 << 30)).normal(0, 0.03, sums.shape)
        values = sums.clip(0) / sums.max()
        if rng.random() < 0.2:
            values = 1 - values
        yield "phantom of an X-ray", f"xray{i}", Image.fromarray((255 * values ** u(0.7, 1.3)).clip(0, 255).astype("uint8"))


def make(arguments):
    rng = random.Random(arguments.seed)
    rows, numbers = [], collections.Counter()
    for source, unit, image in (item for items in (
            from_packages(arguments.packages), brains(arguments.packages), heads(arguments.packages), parts(rng),
            noises(rng), pages(rng), ruins(arguments.phantoms, rng), radiographs(rng)) for item in items):
        folder = source.replace(":", "").replace(",", "").replace(" ", "-")
        numbers[source] += 1
        path = f"{folder}/{numbers[source]:04d}.png"
        os.makedirs(os.path.join(arguments.out, folder), exist_ok=True)
        image.save(os.path.join(arguments.out, path))
        rows.append((path, source, unit, "test" if stable("half" + unit) % 2 else "tune"))
    with open(os.path.join(arguments.out, "pictures.csv"), "w", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(("path", "source", "unit", "half"))
        writer.writerows(rows)
    print(f"{len(rows)} pictures of {len({row[2] for row in rows})} units")


def answers(hilum, model, paths):
    """What predict says of each: True where it is refused, with the reason; what cannot be read at all is None."""
    said = {}
    for start in range(0, len(paths), 500):
        lines = subprocess.run([hilum, "predict", model, "--json", *paths[start:start + 500]], text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout.splitlines()
        for line in lines:
            entry = json.loads(line)
            unread = "error" in entry and not entry.get("refused")
            said[entry["path"]] = (None if unread else bool(entry.get("refused")), entry.get("reason", ""),
                                   bool((entry.get("unusual") or {}).get("flagged")))
    return said


def row(title, values):
    refused, unread = sum(v[0] is True for v in values), sum(v[0] is None for v in values)
    let = [v for v in values if v[0] is False]
    print(f"| {title} | {len(values)} | {refused} | {unread} | {len(let)} | {sum(v[2] for v in let)} | "
          f"{100 * (refused + unread) / len(values):.2f} % |")


def score(arguments):
    with open(os.path.join(arguments.out, "pictures.csv"), newline="") as table:
        rows = list(csv.DictReader(table))
    paths = [os.path.join(arguments.out, item["path"]) for item in rows]
    said = answers(arguments.hilum, arguments.model, paths)
    print("| source | pictures | refused | unreadable | answered | of those flagged as unusual | share not answered |\n"
          "|---|---|---|---|---|---|---|")
    for half in ("tune", "test"):
        groups = collections.defaultdict(list)
        for item, path in zip(rows, paths):
            if item["half"] == half:
                groups[item["source"]].append(said[path])
        for source, values in groups.items():
            row(f"{half}: {source}", values)
        row(f"**{half}: all**", [value for values in groups.values() for value in values])
    lines = []
    for item, path in zip(rows, paths):
        lines.append((item["half"], item["source"], path, *said[path]))
    for chest in arguments.chest:
        name, folder = chest.split("=", 1)
        files = sorted(os.path.join(at, file) for at, _, names in os.walk(folder) for file in names
                       if file.lower().endswith((".png", ".jpg", ".tif", ".dcm")))
        values = answers(arguments.hilum, arguments.model, files)
        row(f"chest: {name}", list(values.values()))
        lines += [("chest", name, path, *values[path]) for path in files]
    if arguments.list:
        with open(arguments.list, "w", newline="") as table:
            csv.writer(table).writerows(lines)


def main():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    maker = verbs.add_parser("make")
    maker.add_argument("packages")
    maker.add_argument("phantoms")
    maker.add_argument("out")
    maker.add_argument("--seed", type=int, default=1)
    scorer = verbs.add_parser("score")
    scorer.add_argument("model")
    scorer.add_argument("out")
    scorer.add_argument("--hilum", default=os.environ.get("HILUM", "hilum"))
    scorer.add_argument("--chest", action="append", default=[])
    scorer.add_argument("--list")
    arguments = parser.parse_args()
    (make if arguments.verb == "make" else score)(arguments)


if __name__ == "__main__":
    sys.exit(main())
