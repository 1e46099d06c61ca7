#!/usr/bin/env python3
"""dicom.py DICOM_VALUES FILE|FOLDER...: compares stored values and Hounsfield units with other readers.

DICOM_VALUES is build/tests/golden/dicom_values. The judges, all from Debian: pydicom (python3-pydicom, which hands
compressed frames to python3-gdcm or python3-pil), DCMTK's dcmdjpeg and dcmdjpls (dcmtk), OpenJPEG's opj_decompress
(libopenjp2-tools). Needed by nobody but those who change the decoders; not part of `make test`.

A file agrees when every stored value is that of a judge: masked to Bits Stored and sign-extended, as the standard has
it and pydicom leaves to its caller; colour is compared as it is stored, and one judge's is enough.
"""
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import warnings

import numpy
import pydicom
from pydicom.pixel_data_handlers.util import apply_modality_lut

warnings.simplefilter("ignore")
program = sys.argv[1]


def ours(path):
    run = subprocess.run([program, path], capture_output=True)
    lines = run.stderr.decode(errors="replace").strip().splitlines()
    if run.returncode:
        return None, lines[-1] if lines else f"exit {run.returncode}", None
    head = json.loads(lines[0])
    kind = ["u" if not head["signed"] else "i", "f", "f"][head["numbers"]] + str(head["size"])
    shape = (head["frames"], head["height"], head["width"], head["samples"])
    return head, "", numpy.frombuffer(run.stdout, kind).reshape(shape)


def masked(values, data):
    """Bits Stored from High Bit down, sign-extended."""
    if values.dtype.kind not in "ui" or data.get("BitsAllocated", 0) == 1:
        return values
    bits, size = data.BitsStored, values.dtype.itemsize * 8
    if bits >= size:
        return values
    compressed = data.file_meta.TransferSyntaxUID.is_compressed and "RLE" not in data.file_meta.TransferSyntaxUID.name
    shift = 0 if compressed else data.HighBit + 1 - bits
    wide = (values.astype(numpy.int64) >> shift) & ((1 << bits) - 1)
    if data.PixelRepresentation:
        wide = numpy.where(wide >> (bits - 1) & 1, wide - (1 << bits), wide)
    return wide.astype(values.dtype)


def read(path):
    data = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in data.file_meta:
        little, implicit = data.is_little_endian, data.is_implicit_VR
        data.file_meta.TransferSyntaxUID = (
            pydicom.uid.ImplicitVRLittleEndian if implicit
            else pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian)
    return data


def judge_pydicom(path, shape):
    """Every answer that pydicom's handlers give."""
    answers = []
    handlers = [h for h in pydicom.config.pixel_data_handlers if h.is_available()]
    for handler in handlers:
        data = read(path)
        if not handler.supports_transfer_syntax(data.file_meta.TransferSyntaxUID):
            continue
        try:
            data.convert_pixel_data(handler.__name__.split(".")[-1].replace("_handler", ""))
            answers.append((handler.__name__.split(".")[-1], masked(data.pixel_array.reshape(shape), data)))
        except Exception:  # a handler that cannot is no judge
            pass
    return answers


def judge_dcmtk(path, shape):
    answers = []
    with tempfile.TemporaryDirectory() as folder:
        plain = os.path.join(folder, "plain.dcm")
        for command in (["dcmdjpeg", "+cn", "+px"], ["dcmdjpls"], ["dcmdrle"], ["dcmconv", "+te"]):
            try:
                run = subprocess.run(command + [path, plain], capture_output=True)
            except FileNotFoundError:
                continue
            if run.returncode or not os.path.exists(plain):
                continue
            try:
                data = read(plain)
                answers.append((command[0], masked(data.pixel_array.reshape(shape), data)))
            except Exception:
                pass
            os.remove(plain)
    return answers


def judge_openjpeg(path, shape, data):
    if "JPEG2000" not in data.file_meta.TransferSyntaxUID.name.replace(" ", "").replace("-", "") \
            and not data.file_meta.TransferSyntaxUID.startswith("1.2.840.10008.1.2.4.20"):
        return []
    frames = []
    with tempfile.TemporaryDirectory() as folder:
        streams = pydicom.encaps.generate_pixel_data_frame(data.PixelData, shape[0])
        for i, stream in enumerate(streams):
            name = os.path.join(folder, "f.jp2" if stream[4:8] == b"jP  " else "f.j2k")
            with open(name, "wb") as file:
                file.write(stream)
            out = os.path.join(folder, "f.rawl")
            try:
                run = subprocess.run(["opj_decompress", "-i", name, "-o", out], capture_output=True)
            except FileNotFoundError:
                return []
            if run.returncode:
                return []
            raw = numpy.fromfile(out, "u1" if data.BitsAllocated == 8 else "i2" if data.PixelRepresentation else "u2")
            frames.append(raw.reshape(shape[3], shape[1], shape[2]).transpose(1, 2, 0))
    return [("opj_decompress", masked(numpy.stack(frames), data))]


def units(head, values, path):
    """Hounsfield units as pydicom's, from the same stored values."""
    if not head["rescale"] or head["frames"] > 1:
        return ""
    data = read(path)
    expected = apply_modality_lut(values[0, :, :, 0].astype(values.dtype), data)
    own = values[0, :, :, 0].astype(numpy.float64) * head["slope"] + head["intercept"]
    return " HU equal" if numpy.array_equal(expected, own) else " HU DIFFER"


def compare(path):
    head, refused, values = ours(path)
    try:
        data = read(path)
        theirs = "PixelData" in data or "FloatPixelData" in data or "DoubleFloatPixelData" in data
    except Exception as reason:
        data, theirs = None, False
    if head is None:
        if not theirs:
            return "no picture", refused
        try:
            data.pixel_array
            return "REFUSED", refused + "  (pydicom reads it)"
        except Exception:
            return "refused by both", refused
    shape = values.shape
    answers = judge_pydicom(path, shape) + judge_dcmtk(path, shape)
    try:
        answers += judge_openjpeg(path, shape, data)
    except Exception:
        pass
    equal = [name for name, other in answers if numpy.array_equal(other.astype(values.dtype), values, )]
    apart = {name: int(numpy.max(numpy.abs(other.astype(numpy.float64) - values))) for name, other in answers
             if name not in equal}
    words = f"{head['syntax']}, {head['frames']} x {head['height']} x {head['width']} x {head['samples']}: " \
            f"equal to {', '.join(equal) or 'nobody'}" + (f"; apart: {apart}" if apart else "")
    return ("agrees" if equal else "unjudged" if not answers else "DIFFERS"), words + units(head, values, path)


def compare_apart(path):
    """In a child, for GDCM aborts on some damaged files; then once more without it."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        try:
            return pool.apply_async(compare, (path,)).get(60)
        except multiprocessing.TimeoutError:
            pass
    handlers = pydicom.config.pixel_data_handlers
    pydicom.config.pixel_data_handlers = [h for h in handlers if "gdcm" not in h.__name__]
    try:
        verdict, words = compare(path)
        return verdict, words + " (GDCM aborts)"
    finally:
        pydicom.config.pixel_data_handlers = handlers


def main():
    counts, syntaxes = {}, {}
    for top in sys.argv[2:]:
        paths = [top] if os.path.isfile(top) else sorted(
            os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)
        for path in paths:
            verdict, words = compare_apart(path)
            if "HU DIFFER" in words:
                verdict = "DIFFERS"
            counts[verdict] = counts.get(verdict, 0) + 1
            if ": equal to " in words:
                row = syntaxes.setdefault(words.split(",")[0], {})
                row["files"] = row.get("files", 0) + 1
                row[verdict] = row.get(verdict, 0) + 1
                for judge in words.split(": equal to ")[1].split(";")[0].replace(" HU equal", "").split(", "):
                    row[judge] = row.get(judge, 0) + 1
            if len(paths) < 100 or verdict not in ("agrees",):
                print(f"{verdict:16} {os.path.basename(path)}: {words}")
    print("\n| encoding | files | agree | judges that gave the same values |\n|---|---|---|---|")
    for syntax, row in sorted(syntaxes.items()):
        judges = ", ".join(f"{name} {n}" for name, n in sorted(row.items())
                           if name not in ("files", "agrees", "unjudged", "DIFFERS", "nobody"))
        print(f"| {syntax} | {row['files']} | {row.get('agrees', 0)} | {judges} |")
    print(counts)
    return 1 if counts.get("DIFFERS") or counts.get("REFUSED") else 0


if __name__ == "__main__":
    sys.exit(main())
