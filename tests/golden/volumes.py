#!/usr/bin/env python3
"""volumes.py HILUM [COUNT [SEED]]: NIfTI and MetaImage against other readers and writers.

HILUM is build/hilum. The judges, both from Debian: nibabel (python3-nibabel) and plastimatch, which reads and writes
through ITK. Needed by nobody but those who change the readers; not part of `make test`.

COUNT (200) random NIfTI files of every type, byte order and version, with and without a scale, by sform and qform, in
every orientation and oblique, are converted to NIfTI and to MetaImage; MetaImages of every type and byte order are
converted to NIfTI. Voxels must be the same to the last bit (float64 to that of float32), the affine to 1e-5 of a
millimetre and, through 32-bit numbers, 1e-4. plastimatch must read what hilum writes, and hilum what it writes.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import nibabel
import numpy

hilum = sys.argv[1]
count = int(sys.argv[2]) if len(sys.argv) > 2 else 200
random = numpy.random.default_rng(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
folder = tempfile.mkdtemp()
TYPES = "u1 i1 u2 i2 u4 i4 u8 i8 f4 f8".split()
MET = dict(zip(TYPES, "UCHAR CHAR USHORT SHORT UINT INT ULONG_LONG LONG_LONG FLOAT DOUBLE".split()))
wrong = []


def run(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    return None if done.returncode == 0 else (done.stderr.strip() or f"exit {done.returncode}")


def rotation():
    """Straight in two cases of three, with any permutation and signs; otherwise turned by up to a right angle."""
    matrix = numpy.eye(3)[random.permutation(3)] * random.choice([-1.0, 1.0], 3)
    if random.random() < 1 / 3:
        turn, _ = numpy.linalg.qr(numpy.eye(3) + 0.4 * random.normal(size=(3, 3)))
        matrix = turn @ matrix
    return matrix


def values(kind, shape):
    if kind[0] == "f":
        return (random.normal(-600, 500, shape)).astype(kind)
    # What fits float32 exactly: no CT has more.
    low, high = max(numpy.iinfo(kind).min, -2 ** 23), min(numpy.iinfo(kind).max, 2 ** 23)
    if kind in ("u4", "i4", "u8", "i8") and random.random() < 0.5:
        low, high = max(low, -1024), 3071
    return random.integers(low, high, shape, endpoint=True).astype(kind)


def compare(name, image, data, affine, tolerance):
    """hilum turns volumes to the patient's axes, by flips and permutations, which change nothing about them: the one that
    takes its voxel indices to those of the file is undone, and then voxels and affine must be the same."""
    step = numpy.rint(numpy.linalg.inv(affine[:3, :3]) @ image.affine[:3, :3]).astype(int)
    if not numpy.array_equal(numpy.abs(step).sum(0), [1, 1, 1]) or not numpy.array_equal(numpy.abs(step).sum(1), [1, 1, 1]):
        wrong.append(f"{name}: axes lie elsewhere")
        return
    orientation = numpy.stack([numpy.abs(step).argmax(0), step.sum(0)], 1)
    got = image.as_reoriented(orientation)
    a, b = got.get_fdata(), data
    if a.shape != b.shape:
        wrong.append(f"{name}: {a.shape}, not {b.shape}")
    elif not numpy.array_equal(a.astype("f4"), b.astype("f4")):
        wrong.append(f"{name}: {numpy.count_nonzero(a.astype('f4') != b.astype('f4'))} voxels differ")
    elif not numpy.allclose(got.affine, affine, rtol=0, atol=tolerance):
        wrong.append(f"{name}: the affine differs by {numpy.abs(got.affine - affine).max():g} mm")


def load_metaimage(path):
    """Only what hilum writes."""
    header, bytes_ = {}, open(path, "rb").read()
    at = 0
    while "ElementDataFile" not in header:
        end = bytes_.index(b"\n", at)
        key, value = bytes_[at:end].decode().split(" = ", 1) if b" = " in bytes_[at:end] else (bytes_[at:end].decode(), "")
        header[key.strip()] = value.strip()
        at = end + 1
    kind = next(kind for kind, name in MET.items() if header["ElementType"] == "MET_" + name)
    size = [int(word) for word in header["DimSize"].split()]
    data = numpy.frombuffer(bytes_[at:], "<" + kind).reshape(size[::-1]).transpose()
    affine = numpy.eye(4)
    direction = numpy.array(header["TransformMatrix"].split(), "f8").reshape(3, 3)
    affine[:3, :3] = (direction * numpy.array(header["ElementSpacing"].split(), "f8")[:, None]).T
    affine[:3, 3] = numpy.array(header["Offset"].split(), "f8")
    return nibabel.Nifti1Image(data.astype("f8"), numpy.diag([-1, -1, 1, 1]) @ affine)


def one_nifti(i):
    kind, endian = TYPES[i % len(TYPES)], random.choice(["<", ">"])
    shape = tuple(int(side) for side in random.integers(1, 24, 3))
    affine = numpy.eye(4)
    affine[:3, :3] = rotation() * random.uniform(0.3, 5, 3)
    affine[:3, 3] = random.uniform(-400, 400, 3)
    stored = values(kind, shape)
    version = random.choice([1, 2])
    header = (nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header)(endianness=endian)
    header.set_data_dtype(endian + kind)
    header.set_data_shape(shape)
    qform = random.random() < 0.3
    header.set_qform(affine, 1 if qform or random.random() < 0.5 else 0)
    header.set_sform(affine, 0 if qform else 1)
    if random.random() < 0.3:
        header.set_slope_inter(float(numpy.float32(random.choice([1, 0.5, 2]))), float(random.choice([-1024, 0, 0.25])))
    header["vox_offset"] = 352 if version == 1 else 544
    slope, inter = header.get_slope_inter()
    path = os.path.join(folder, "in.nii" + random.choice(["", ".gz"]))
    opener = nibabel.openers.Opener(path, "wb")
    with opener as file:
        header.write_to(file)
        file.write(b"\0" * ((352 if version == 1 else 544) - file.tell()))
        file.write(stored.astype(endian + kind).tobytes(order="F"))
    judged = nibabel.load(path)
    data = judged.get_fdata()
    name = f"NIfTI-{version} {endian}{kind} {shape} slope {slope} intercept {inter} {'q' if qform else 's'}form"
    for out, tolerance in (("out.nii", 1e-4), ("out.nii.gz", 1e-4), ("out.mha", 1e-5)):
        target = os.path.join(folder, out)
        error = run(hilum, "convert", path, target)
        if error:
            wrong.append(f"{name}: {error}")
            return
        image = load_metaimage(target) if out == "out.mha" else nibabel.load(target)
        compare(f"{name} to {out}", image, data, judged.affine, tolerance)


def one_metaimage(kind, endian):
    shape = tuple(int(side) for side in random.integers(2, 24, 3))
    data, direction = values(kind, shape), rotation()
    spacing, offset = random.uniform(0.3, 5, 3), random.uniform(-400, 400, 3)
    path = os.path.join(folder, "in.mha")
    with open(path, "wb") as file:
        lines = ["ObjectType = Image", "NDims = 3", "BinaryData = True",
                 f"BinaryDataByteOrderMSB = {endian == '>'}", "CompressedData = False",
                 "TransformMatrix = " + " ".join(repr(float(x)) for x in direction.T.ravel()),
                 "Offset = " + " ".join(repr(float(x)) for x in offset), "CenterOfRotation = 0 0 0",
                 "ElementSpacing = " + " ".join(repr(float(x)) for x in spacing),
                 "DimSize = " + " ".join(str(side) for side in shape), f"ElementType = MET_{MET[kind]}",
                 "ElementDataFile = LOCAL"]
        file.write(("\n".join(lines) + "\n").encode())
        file.write(data.astype(endian + kind).tobytes(order="F"))
    affine = numpy.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = offset
    target = os.path.join(folder, "out.nii")
    error = run(hilum, "convert", path, target)
    if error:
        wrong.append(f"MetaImage {endian}{kind}: {error}")
    else:
        compare(f"MetaImage {endian}{kind}", nibabel.load(target), data, numpy.diag([-1, -1, 1, 1]) @ affine, 1e-4)


def plastimatch():
    """What it reads of hilum's files, and hilum of its own, packed and not."""
    shape = (21, 17, 13)
    data = random.integers(-1024, 3071, shape).astype("i2")
    affine = numpy.eye(4)
    affine[:3, :3] = rotation() * [0.7, 0.8, 2.5]
    affine[:3, 3] = [-120.5, 33, 400]
    start = os.path.join(folder, "start.nii")
    nibabel.save(nibabel.Nifti1Image(data, affine), start)
    for first, options in (("a.mha", []), ("b.mhd", []), ("c.mha", ["--compress"]), ("d.nii.gz", [])):
        ours, theirs, back = (os.path.join(folder, name) for name in (first, "theirs.nii.gz", "back.nii"))
        error = run(hilum, "convert", start, ours, *options) or \
            run("plastimatch", "convert", "--input", ours, "--output-img", theirs)
        if error:
            wrong.append(f"plastimatch of {first}: {error}")
            continue
        compare(f"plastimatch of {first}", nibabel.load(theirs), data, affine, 1e-4)
        for name in ("theirs.mha", "theirs.mhd", "theirs.nii"):
            other = os.path.join(folder, name)
            error = run("plastimatch", "convert", "--input", ours, "--output-img", other) or \
                run(hilum, "convert", other, back)
            if error:
                wrong.append(f"{name} of plastimatch: {error}")
            else:
                compare(f"{name} of plastimatch", nibabel.load(back), data, affine, 1e-4)


for i in range(count):
    one_nifti(i)
for kind in TYPES:
    for endian in "<>":
        one_metaimage(kind, endian)
if shutil.which("plastimatch"):
    plastimatch()
else:
    print("plastimatch is not installed: not asked")
shutil.rmtree(folder)
for line in wrong:
    print(line)
print(f"{count} NIfTI files, {2 * len(TYPES)} MetaImages: {len(wrong)} differences")
sys.exit(1 if wrong else 0)
