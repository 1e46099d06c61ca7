"""Whole scans on the command line: the same scan in every form gives the same volume and the same prediction."""
import csv
import json
import os
import random
import signal
import struct
import subprocess
import tarfile
import time
import unittest
import zipfile

from common import HILUM, SMALL, Phantoms, run, run_json

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
        cls.volumes = cls.file("volumes")
        run("phantom", cls.volumes, "--volume", "--format", "nifti", "--cases", "12", "--slices", "6", "--size", "48")
        small = ["--size", "24", "--batch", "4", "--epochs", "1", "--seed", "3", "--split", "50/25/25"]
        run("train", cls.volumes, *small, "--out", cls.file("run-3d"), "--dims", "3d", "--depth", "8", "--spacing", "2.5",
            "--extent", "middle", "--arch", "seed3d filters=4,8 dense=4")
        run("train", cls.volumes, *small, "--out", cls.file("run-2.5d"), "--dims", "2.5d", "--spacing", "4",
            "--arch", "seed filters=4,8 dense=4")

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

    def answer(self, model, *paths):
        """One line for the case, without its path."""
        answer = json.loads(run("predict", self.file(model), *paths, "--json").stdout)
        del answer["path"]
        return answer

    def test_same_scan_same_volume_same_answer(self):
        """To the last bit: of networks for slices the answer of every slice and its place too."""
        expected = {model: self.answer(model, self.series) for model in ("run", "run-2.5d", "run-3d")}
        for name, path in self.forms():
            with self.subTest(form=name):
                out = self.file("again.nii")
                run("convert", path, out)
                self.assertEqual(read(out), read(self.nifti))
                for model, answer in expected.items():
                    self.assertEqual(self.answer(model, path), answer)

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

    def test_profile(self):
        """A network for slices looks at every slice that shows lung, and the case is what it makes of them."""
        whole = self.answer("run", self.nifti)
        self.assertEqual([slice["slice"] for slice in whole["slices"]], list(range(1, 13)))
        heights = [slice["z"] for slice in whole["slices"]]
        self.assertTrue(all(abs(b - a - 3) < 1e-3 for a, b in zip(heights, heights[1:])), heights)
        each = [slice["probability"] for slice in whole["slices"]]
        self.assertAlmostEqual(whole["probability_raw"], sum(each) / 12, places=12)
        self.assertEqual(self.answer("run", self.nifti, "--aggregate", "max")["probability_raw"], max(each))
        spared = 1.0
        for probability in each:
            spared *= 1 - probability
        self.assertAlmostEqual(self.answer("run", self.nifti, "--aggregate", "noisy-or")["probability_raw"], 1 - spared)
        self.assertIn("12 slices, most in slice", run("predict", self.file("run"), self.nifti).stdout)
        # The single slices as pictures, and as a stack.
        run("convert", self.nifti, self.file("pictures"), "--slices", "tiff")
        pictures = sorted(os.path.join(self.file("pictures"), name) for name in os.listdir(self.file("pictures"))
                          if name.endswith(".tif"))
        lines = run("predict", self.file("run"), *pictures, "--json").stdout.splitlines()
        self.assertEqual([json.loads(line)["probability_raw"] for line in lines], each)
        stack = self.answer("run", "--stack", *pictures)
        self.assertEqual(stack["probability"], whole["probability"])
        self.assertEqual([slice["z"] for slice in stack["slices"]], [None] * 12)
        # Slices of air at the feet show no lung.
        scan, pixels = bytearray(read(self.nifti)), 64 * 64
        scan[352:352 + 4 * pixels * 2] = struct.pack("<h", -1000) * (4 * pixels)
        with open(self.file("air.nii"), "wb") as file:
            file.write(scan)
        rest = self.answer("run", self.file("air.nii"))["slices"]
        self.assertEqual(rest, whole["slices"][4:])
        # What is no chest is looked at as a whole.
        scan[352:] = struct.pack("<h", 40) * ((len(scan) - 352) // 2)
        with open(self.file("flesh.nii"), "wb") as file:
            file.write(scan)
        self.assertEqual(len(self.answer("run", self.file("flesh.nii"), "--force")["slices"]), 12)

    def test_windows_are_channels(self):
        small = ["--size", "24", "--batch", "4", "--epochs", "1", "--split", "50/0/50", "--arch", "seed3d filters=4 dense=4"]
        run("train", self.volumes, *small, "--dims", "3d", "--depth", "4", "--windows", "lung,40/400", "--out",
            self.file("run-windows"))
        info = run_json("info", self.file("run-windows"))
        self.assertEqual(info["recipe"]["beside"], [{"center": 40.0, "width": 400.0}])
        self.assertEqual(info["recipe"]["channels"], 2)
        run("predict", self.file("run-windows"), self.nifti)
        again = run("train", self.volumes, "--init", self.file("run-windows"), "--split", "50/0/50", "--epochs", "1",
                    "--batch", "4", "--out", self.file("run-windows-2"))
        self.assertIn("tensors copied", again.stderr)
        self.assertEqual(run_json("info", self.file("run-windows-2"))["recipe"]["beside"], info["recipe"]["beside"])
        self.assertIn("two or three", run("train", self.volumes, *small, "--windows", "lung", "--out", self.file("x"),
                                          expect=2).stderr)

    def test_from_the_first_slice_with_lung_to_the_last(self):
        """Slices of air before the feet change what a network for volumes says of the whole, but not of the lungs."""
        scan = bytearray(read(self.nifti))
        scan[46:48] = struct.pack("<h", 16)
        scan[352:352] = struct.pack("<h", -1000) * (4 * 64 * 64)
        with open(self.file("longer.nii"), "wb") as file:
            file.write(scan)
        for extent, same in (("lungs", True), ("whole", False)):
            model = f"run-{extent}"
            run("train", self.volumes, "--size", "24", "--batch", "4", "--epochs", "1", "--split", "50/0/50", "--dims", "3d",
                "--depth", "8", "--extent", extent, "--arch", "seed3d filters=4,8 dense=4", "--out", self.file(model))
            self.assertEqual(self.answer(model, self.nifti) == self.answer(model, self.file("longer.nii")), same)
        self.assertIn("spacing goes with", run("train", self.volumes, "--dims", "3d", "--spacing", "2", "--out",
                                               self.file("x"), expect=2).stderr)

    def test_network_for_volumes(self):
        answer = self.answer("run-3d", self.nifti)
        self.assertNotIn("slices", answer)
        recipe = run_json("info", self.file("run-3d"))["recipe"]
        self.assertEqual((recipe["dims"], recipe["depth"], recipe["spacing"], recipe["extent"]), ("3d", 8, 2.5, "middle"))
        picture = os.path.join(self.data, "normal", os.listdir(os.path.join(self.data, "normal"))[0])
        self.assertIn("how far", run("predict", self.file("run-3d"), picture, expect=1).stderr)

    def test_stacks_of_a_table(self):
        """Rows of one patient and stack are one case: trained, scored, resumed and predicted."""
        table, stacks = self.file("stacks.csv"), {}
        with open(table, "w", encoding="utf-8") as file:
            file.write("path,label,patient,stack,slice\n")
            for label in ("normal", "nodule"):
                names = sorted(os.listdir(os.path.join(self.data, label)))
                for i, name in enumerate(names):
                    path = os.path.join(self.data, label, name)
                    stacks.setdefault((label, i // 3), []).append(path)
                    file.write(f"{path},{label},{label}{i // 3},a,{-i}\n")
        options = ["--dims", "3d", "--depth", "3", "--extent", "middle", "--arch", "seed3d filters=4,8 dense=4", "--size",
                   "24", "--batch", "4", "--seed", "3", "--split", "60/0/40", "--augment", "flip,zflip,zshift=1,rotate=10"]
        whole, parts = self.file("run-stacks"), self.file("run-stacks-resumed")
        run("train", table, *options, "--epochs", "4", "--out", whole)
        process = subprocess.Popen([HILUM, "train", table, *options, "--epochs", "4", "--out", parts, "--checkpoint", "0"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and not os.path.exists(os.path.join(parts, "checkpoint.safetensors")):
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        process.wait()
        run("train", table, "--out", parts, "--resume")
        weights = [run_json("info", os.path.join(folder, "last.hilum"))["weights_hash"] for folder in (whole, parts)]
        self.assertEqual(weights[0], weights[1])
        scores, out = self.file("scores.csv"), run_json("eval", whole, table, "--predictions", self.file("scores.csv"))
        self.assertLess(out["n"], len(stacks))
        with open(scores, encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
            self.assertEqual(out["n"], len(rows))
            for row in rows:
                slices = next(paths for paths in stacks.values() if row["path"] in paths)
                answer = self.answer("run-stacks", "--stack", *reversed(slices))
                self.assertEqual(answer["probability"], float(row["probability"]))
        # A slice with its neighbours: as many cases as slices.
        run("train", table, "--dims", "2.5d", "--depth", "5", *SMALL, "--epochs", "1", "--out", self.file("run-slices"))
        self.assertEqual(run_json("eval", self.file("run-slices"), table, "--split", "all")["n"], 40)

    def test_folders_and_tables_of_volumes(self):
        done = run("train", self.volumes, *SMALL, "--epochs", "1", "--out", self.file("run-volumes"), "--split", "50/25/25")
        self.assertIn("log loss", done.stdout.lower())
        table, normal = self.file("table.csv"), os.path.join(os.path.dirname(os.path.dirname(self.series)), "normal")
        healthy = os.path.join(normal, os.listdir(normal)[0])
        with open(table, "w", encoding="utf-8") as file:
            file.write(f"path,label\n{self.series},nodule\n{self.nifti},nodule\n{healthy},normal\n")
        for model in ("run", "run-2.5d", "run-3d"):
            scores = self.file("volumes.csv")
            self.assertEqual(run_json("eval", self.file(model), table, "--split", "all", "--predictions", scores)["n"], 3)
            with open(scores, encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    self.assertEqual(self.answer(model, row["path"])["probability"], float(row["probability"]))


if __name__ == "__main__":
    unittest.main()
