"""Whole scans on the command line: the same scan in every form gives the same volume and the same prediction."""
import json
import os
import random
import struct
import tarfile
import time
import unittest
import zipfile

from common import SMALL, Phantoms, run, run_json

ENCODINGS = "implicit big-endian deflated rle jpeg-lossless jpeg-ls jpeg-2000".split()


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Scans(Phantoms):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("run", "--epochs", "1")
        cls.series = cls.draw("explicit")
        cls.nifti = cls.file("scan.nii")
        run("convert", cls.series, cls.nifti)

    @classmethod
    def draw(cls, encoding, *extra):
        """The folder of the one series with a nodule."""
        folder = cls.file("series-" + "-".join([encoding, *extra]).replace("--", ""))
        run("phantom", folder, "--volume", "--format", "dicom", "--cases", "2", "--slices", "12", "--size", "64", "--seed",
            "3", "--encoding", encoding, *extra)
        series = [os.path.join(root, name) for root, names, _ in os.walk(folder) for name in names
                  if any(os.path.isfile(os.path.join(root, name, file)) for file in os.listdir(os.path.join(root, name)))
                  and "nodule" in root]
        return sorted(series)[0]

    def forms(self):
        """The same scan in other forms: name and path."""
        for encoding in ENCODINGS:
            yield encoding, self.draw(encoding)
        yield "shuffled", self.draw("explicit", "--order", "shuffled")
        for name in ("a.nii.gz", "a.mha", "a.mhd"):
            path = self.file(name)
            run("convert", self.series, path, *(["--compress"] if name == "a.mhd" else []))
            yield name, path
        files = sorted(os.listdir(self.series))
        random.Random(1).shuffle(files)
        with zipfile.ZipFile(self.file("a.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            for i, name in enumerate(files):
                archive.write(os.path.join(self.series, name), f"x/{i % 2}/{i}")
        yield "zip", self.file("a.zip")
        with tarfile.open(self.file("a.tar.gz"), "w:gz") as archive:
            archive.add(self.file("a.mhd"), "y/a.mhd")
            archive.add(self.file("a.zraw"), "y/a.zraw")
        yield "tar.gz", self.file("a.tar.gz")

    def test_same_scan_same_volume_same_answer(self):
        expected = json.loads(run("predict", self.file("run"), self.series, "--json").stdout)
        for name, path in self.forms():
            with self.subTest(form=name):
                out = self.file("again.nii")
                run("convert", path, out)
                self.assertEqual(read(out), read(self.nifti))
                answer = json.loads(run("predict", self.file("run"), path, "--json").stdout)
                self.assertEqual(answer["probabilities"], expected["probabilities"])

    def test_sandbox_changes_nothing(self):
        out = self.file("off.nii")
        run("convert", self.series, out, env={**os.environ, "HILUM_SANDBOX": "off"})
        self.assertEqual(read(out), read(self.nifti))
        state = {word: run_json("doctor", env={**os.environ, "HILUM_SANDBOX": word})["sandbox"] for word in ("on", "off")}
        self.assertEqual(state["off"], "off")
        self.assertIn(state["on"], ("full", "limits"))

    def test_no_process_stays(self):
        """Workers end when they see that their program has; they need a moment for it."""
        mark = f"HILUM_TEST_MARK={os.getpid()}"
        run("convert", self.series, self.file("stay.nii"), env={**os.environ, "HILUM_TEST_MARK": str(os.getpid())})
        for _ in range(100):
            left = [process for process in os.listdir("/proc") if process.isdigit() and self.is_marked(process, mark)]
            if not left:
                return
            time.sleep(0.1)
        self.fail(f"processes {left} are still there")

    @staticmethod
    def is_marked(process, mark):
        try:
            return mark.encode() in read(f"/proc/{process}/environ").split(b"\0")
        except OSError:
            return False

    def test_info(self):
        for path, kind in ((self.series, "DICOM"), (self.nifti, "NIfTI")):
            info = run_json("info", path)
            self.assertEqual((info["kind"], info["format"], info["unit"]), ("volume", kind, "hounsfield"))
            self.assertEqual((info["width"], info["height"], info["depth"]), (64, 64, 12))
            self.assertEqual(sum(info["histogram"]["counts"]), 64 * 64 * 12)
            self.assertTrue(info["oriented"])
            self.assertIn("volume", run("info", path).stdout)

    def test_view(self):
        picture = self.file("view.png")
        for layout, size in (("slice", (64, 64)), ("montage", None), ("planes", None)):
            run("view", self.nifti, "-o", picture, "--layout", layout, "--window", "mediastinum")
            header = read(picture)[:24]
            self.assertEqual(header[:8], b"\x89PNG\r\n\x1a\n")
            if size:
                self.assertEqual(struct.unpack(">II", header[16:24]), size)
        self.assertIn("no file is named", run("view", self.nifti, expect=2).stderr)
        self.assertIn("a value is missing", run("view", self.nifti, "-o", expect=2).stderr)

    def test_convert_refuses(self):
        self.assertIn("its ending", run("convert", self.nifti, self.file("x.doc"), expect=2).stderr)
        self.assertIn("one slice", run("convert", self.nifti, self.file("x.png"), expect=2).stderr)
        broken = self.file("broken.nii")
        with open(broken, "wb") as file:
            file.write(read(self.nifti)[:5000])
        self.assertIn("broken.nii: NIfTI: cut off", run("convert", broken, self.file("y.mha"), expect=1).stderr)
        self.assertFalse(os.path.exists(self.file("y.mha")))

    def test_folders_and_tables_of_volumes(self):
        folder = self.file("volumes")
        run("phantom", folder, "--volume", "--format", "nifti", "--cases", "12", "--slices", "6", "--size", "48")
        done = run("train", folder, *SMALL, "--epochs", "1", "--out", self.file("run-volumes"), "--split", "50/25/25")
        self.assertIn("log loss", done.stdout.lower())
        table, normal = self.file("table.csv"), os.path.join(os.path.dirname(os.path.dirname(self.series)), "normal")
        healthy = os.path.join(normal, os.listdir(normal)[0])
        with open(table, "w", encoding="utf-8") as file:
            file.write(f"path,label\n{self.series},nodule\n{self.nifti},nodule\n{healthy},normal\n")
        self.assertEqual(run_json("eval", self.file("run"), table, "--split", "all")["n"], 3)


if __name__ == "__main__":
    unittest.main()
