"""predict refuses what is no chest CT and answers the rest; --force answers; eval counts and names; info tells."""
import os
import random
import shutil
import struct
import unittest
import zlib

from common import Phantoms, run, run_json


def write_png(path, side, value):
    """8-bit grey, value(x, y)."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + bytes(value(x, y) for x in range(side)) for y in range(side))
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
                   + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


class Refusal(Phantoms):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        shutil.rmtree(cls.data)
        run("phantom", cls.data, "--cases", "40", "--size", "128", "--seed", "5")
        cls.train("run", "--epochs", "1")
        cls.model = cls.file("run")
        cls.chest = os.path.join(cls.data, "normal", sorted(os.listdir(os.path.join(cls.data, "normal")))[0])
        draw = random.Random(1)
        cls.noise, cls.disc = cls.file("noise.png"), cls.file("disc.png")
        write_png(cls.noise, 128, lambda x, y: draw.randrange(256))
        write_png(cls.disc, 128, lambda x, y: draw.randrange(160, 200) if (x - 64) ** 2 + (y - 64) ** 2 < 1800
                  else draw.randrange(20))

    def test_the_rest_goes_on(self):
        done = run("predict", self.model, self.noise, self.chest, self.disc, expect=1)
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], f"{self.noise}: refused: not a chest CT (noise)")
        self.assertNotIn("refused", lines[1])
        self.assertEqual(lines[2], f"{self.disc}: refused: not a chest CT (no air-filled lungs inside a body)")
        self.assertEqual(len(lines), 3)

    def test_json(self):
        refused = run_json("predict", self.model, self.noise, expect=1)
        self.assertIs(refused["refused"], True)
        self.assertEqual(refused["reason"], "not a chest CT (noise)")
        self.assertEqual(refused["error"]["code"], "refused")
        self.assertNotIn("probability", refused)
        answered = run_json("predict", self.model, self.chest)
        self.assertNotIn("refused", answered)
        self.assertFalse(answered["unusual"]["flagged"] and answered["unusual"]["value"] <= answered["unusual"]["threshold"])

    def test_force(self):
        forced = run_json("predict", self.model, self.noise, "--force")
        self.assertIs(forced["forced"], True)
        self.assertEqual(forced["reason"], "not a chest CT (noise)")
        self.assertIs(forced["unusual"]["flagged"], True)
        self.assertIn("forced: not a chest CT (noise)", run("predict", self.model, self.noise, "--force").stdout)
        # What needs no force is answered as without it.
        self.assertEqual(run_json("predict", self.model, self.chest, "--force"), run_json("predict", self.model, self.chest))

    def test_info(self):
        self.assertIs(run_json("info", self.chest)["chest"]["plausible"], True)
        self.assertEqual(run_json("info", self.noise)["chest"], {"plausible": False, "reason": "noise"})
        self.assertIn("anything else is refused", run("info", self.model).stdout)

    def test_eval_scores_and_names_them(self):
        mixed = self.file("mixed")
        shutil.copytree(self.data, mixed)
        shutil.copy(self.noise, os.path.join(mixed, "normal", "noise.png"))
        done = run("eval", self.model, mixed, "--split", "all")
        self.assertIn("normal/noise.png: hilum predict would answer: refused: not a chest CT (noise)", done.stderr)
        scores = run_json("eval", self.model, mixed, "--split", "all")
        self.assertEqual(scores["n"], 41)
        self.assertGreaterEqual(scores["refused"], 1)
        self.assertGreaterEqual(scores["unusual"], 1)

    def test_a_model_of_other_pictures_refuses_none(self):
        other = self.file("other")
        draw = random.Random(2)
        for label, low in (("dark", 0), ("light", 120)):
            os.makedirs(os.path.join(other, label))
            for i in range(16):
                write_png(os.path.join(other, label, f"{i}.png"), 32, lambda x, y: draw.randrange(low, low + 130))
        run("train", other, "--arch", "seed filters=4,8 dense=8", "--size", "32", "--batch", "8", "--epochs", "1",
            "--out", self.file("other-run"), "--allow-leakage")
        self.assertIn("probability", run_json("predict", self.file("other-run"), self.noise))
        self.assertIn("nothing is refused", run("info", self.file("other-run")).stdout)


if __name__ == "__main__":
    unittest.main()
