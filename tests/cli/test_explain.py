"""hilum explain: figures, pictures, marks, and what it refuses."""
import json
import os
import struct
import unittest

from common import Phantoms, run


def png_size(path):
    with open(path, "rb") as file:
        head = file.read(24)
    assert head[:8] == b"\x89PNG\r\n\x1a\n", path
    return struct.unpack(">II", head[16:24])


class Explain(Phantoms):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("run", "--epochs", "1", "--split", "60/20/20")
        folder = os.path.join(cls.data, "nodule")
        cls.slices = [os.path.join(folder, name) for name in sorted(os.listdir(folder))[:3]]

    def lines(self, *arguments, **options):
        return [json.loads(line) for line in run("explain", self.file("run"), *arguments, "--json", **options).stdout.splitlines()]

    def test_figures(self):
        for method in ("gradcam", "occlusion", "integrated-gradients"):
            rows = self.lines(*self.slices, "--method", method, "--steps", "16", "--randomised", "1")
            self.assertEqual([row["path"] for row in rows], self.slices)
            for row in rows:
                self.assertEqual((row["method"], row["class"], row["width"], row["height"]), (method, "nodule", 48, 48))
                self.assertTrue(0 <= row["probability"] <= 1 and row["research_use_only"])
                self.assertTrue(row["hottest"] is None or all(0 <= place < 48 for place in row["hottest"]))
                sanity = row["sanity"]
                self.assertEqual(sanity["reliable"], sanity["reason"] == "")
                self.assertTrue(0 <= sanity["correlation"] <= 1)
                self.assertEqual("sum" in row, method == "integrated-gradients")
                self.assertEqual("layer" in row, method == "gradcam")
            again = self.lines(self.slices[0], "--method", method, "--steps", "16", "--randomised", "1", "--threads", "1")
            self.assertEqual(again, rows[:1])

    def test_the_answer_is_that_of_predict(self):
        predicted = json.loads(run("predict", self.file("run"), self.slices[0], "--json").stdout)
        for name in ("nodule", "normal"):
            row, = self.lines(self.slices[0], "--class", name, "--randomised", "0")
            self.assertAlmostEqual(row["probability"], predicted["probabilities"][name], places=6)
            self.assertIsNone(row["sanity"]["correlation"])

    def test_pictures(self):
        out = self.file("heat")
        text = run("explain", self.file("run"), *self.slices, "-o", out)
        self.assertIn("not a medical device", text.stderr)
        names = sorted(os.listdir(out))
        self.assertEqual(len(names), 3)
        for name, line in zip(names, text.stdout.splitlines()):
            width, height = png_size(os.path.join(out, name))
            self.assertTrue(width > 700 and height > 400)
            # A network after one epoch knows nothing worth believing.
            self.assertIn("UNRELIABLE", line)
        alone = self.file("alone.png")
        run("explain", self.file("run"), self.slices[0], "-o", alone)
        with open(alone, "rb") as one, open(os.path.join(out, names[0]), "rb") as first:
            self.assertEqual(one.read(), first.read())

    def test_refusals(self):
        model = self.file("run")
        for arguments, code, words in (((model, self.slices[0], "--layer", "nowhere"), 2, "layer"),
                                       ((model, self.slices[0], "--class", "nobody"), 2, "class"),
                                       ((model, self.slices[0], "--method", "magic"), 2, "magic"),
                                       ((model, self.slices[0], "--slice", "2"), 1, "slice"),
                                       ((model, self.file("absent.png")), 1, "absent.png"),
                                       ((self.slices[0], self.slices[0]), 1, "case-"),
                                       ((model, self.slices[0], "-o", self.file("no", "where", "a.png")), 1, "where")):
            self.assertIn(words, run("explain", *arguments, expect=code).stderr)
        # The others go on.
        done = run("explain", model, self.file("absent.png"), self.slices[0], "--json", expect=1)
        self.assertEqual(len(done.stdout.splitlines()), 1)


if __name__ == "__main__":
    unittest.main()
