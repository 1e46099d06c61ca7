"""hilum audit on phantoms with planted copies, and training that refuses a split which leaks."""
import csv
import json
import os
import shutil
import unittest

from common import Phantoms, SMALL, run, run_json


class Audit(Phantoms):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.copied = cls.file("copied")
        shutil.copytree(cls.data, cls.copied)
        cls.names = sorted(os.listdir(os.path.join(cls.copied, "normal")))
        for name in cls.names[:6]:
            shutil.copy(os.path.join(cls.copied, "normal", name), os.path.join(cls.copied, "normal", "copy-" + name))
        # One picture under two labels; one file that is no picture.
        shutil.copy(os.path.join(cls.copied, "normal", cls.names[7]), os.path.join(cls.copied, "nodule", "other.png"))
        with open(os.path.join(cls.copied, "nodule", "damaged.png"), "wb") as file:
            file.write(b"not a picture")

    def test_phantoms_of_different_patients_are_no_copies(self):
        done = run_json("audit", self.data, "--resamples", "0")
        self.assertFalse([pair for pair in done["pairs"] if pair["kind"] != "adjacent"])
        self.assertEqual(done["unreadable"], [])
        self.assertIsNone(done["leaks"])

    def test_copies_conflicts_unreadable_and_groups(self):
        groups = self.file("groups.csv")
        page = self.file("audit.html")
        done = run_json("audit", self.copied, "--resamples", "100", "--write-groups", groups, "--html", page)
        exact = {(pair["a"], pair["b"]) for pair in done["pairs"] if pair["kind"] == "bytes"}
        self.assertEqual(len(exact), 7)
        for name in self.names[:6]:
            self.assertIn(("normal/" + name, "normal/copy-" + name), {tuple(sorted(pair, reverse=True)) for pair in exact}
                          | exact)
        self.assertEqual([(one["a"], one["b"]) for one in done["label_conflicts"]],
                         [("nodule/other.png", "normal/" + self.names[7])])
        self.assertEqual([one["path"] for one in done["unreadable"]], ["nodule/damaged.png"])
        self.assertTrue(done["unreadable"][0]["reason"])
        self.assertEqual([one["name"] for one in done["shortcuts"]],
                         "shape file_size encoding border marks mean_grey contrast lungs_blanked".split())
        with open(groups) as table:
            written = {row["path"]: row["group"] for row in csv.DictReader(table)}
        self.assertEqual(written, {path: str(group) for path, group in done["groups"].items()})
        self.assertEqual(written["normal/" + self.names[0]], written["normal/copy-" + self.names[0]])
        with open(page) as file:
            text = file.read()
        self.assertIn("data:image/png;base64,", text)
        self.assertNotIn("http", text)

    def test_leaks_of_a_split_and_of_folds(self):
        folds = self.file("folds.csv")
        paths = list(run_json("audit", self.copied, "--quick")["groups"])
        with open(folds, "w") as table:
            table.write("path,fold\n" + "".join(f"{path},{int('copy-' in path)}\n" for path in paths))
        done = run_json("audit", self.copied, "--quick", "--folds", folds)
        exact = [leak for leak in done["leaks"] if leak["kind"] == "bytes"]
        self.assertEqual(len(exact), 6)
        self.assertEqual({exact[0]["part_a"], exact[0]["part_b"]}, {"fold 0", "fold 1"})

    def test_training_refuses_names_and_obeys(self):
        arguments = ["train", self.copied, *SMALL, "--epochs", "1", "--split", "50/0/50"]
        refused = run(*arguments, "--out", self.file("refused"), expect=1)
        self.assertIn("the split leaks", refused.stderr)
        self.assertRegex(refused.stderr, r"copy-|other\.png")
        self.assertFalse(os.path.exists(self.file("refused")))
        run(*arguments, "--allow-leakage", "--out", self.file("allowed"))
        self.assertGreater(run_json("info", self.file("allowed"))["provenance"]["leaks"], 0)
        self.assertIn("leaks", run("info", self.file("allowed")).stdout)
        self.assertGreater(run_json("eval", self.file("allowed"), self.copied)["leaks"], 0)
        self.assertIn("Leakage was allowed", run("eval", self.file("allowed"), self.copied).stdout)
        run(*arguments, "--groups", "auto", "--out", self.file("inferred"))
        model = run_json("info", self.file("inferred"))
        self.assertNotIn("leaks", model["provenance"])
        self.assertNotIn("Leakage", run("eval", self.file("inferred"), self.copied).stdout)
        self.assertTrue(model["provenance"]["grouped"])


if __name__ == "__main__":
    unittest.main()
