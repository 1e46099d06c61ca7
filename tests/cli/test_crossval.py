"""Cross-validation: folds by group, one answer a case, resuming, controls, what can be had without a network."""
import csv
import json
import os
import shutil
import statistics
import unittest

from common import Phantoms, SMALL, run, run_json

FOLDS = ["--k", "3", "--epochs", "2", "--threads", "1", "--resamples", "200"]


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Crossval(Phantoms):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.done = cls.crossval("cv", "--validation", "0.3", "--json")
        cls.scores = json.loads(cls.done.stdout)

    @classmethod
    def crossval(cls, name, *extra, **options):
        return run("crossval", cls.data, *SMALL, *FOLDS, "--groups", cls.groups, "--out", cls.file(name), *extra, **options)

    def test_every_case_is_answered_once_and_groups_stay_together(self):
        table = rows(self.file("cv", "predictions.csv"))
        self.assertEqual(len({row["path"] for row in table}), 40)
        self.assertEqual(len(table), 40)
        fold_of = {}
        for row in table:
            fold_of.setdefault(row["group"], set()).add(row["fold"])
        self.assertTrue(all(len(folds) == 1 for folds in fold_of.values()))
        for fold in range(3):
            labels = [row["label"] for row in table if row["fold"] == str(fold)]
            self.assertIn(labels.count("1"), (6, 7, 8))
            self.assertIn(labels.count("0"), (6, 7, 8))
            # The fold's own folder tells the same, and nobody of it was trained on.
            parts = {row["path"]: row["part"] for row in rows(self.file("cv", f"fold-{fold}", "split.csv"))}
            self.assertEqual({path for path, part in parts.items() if part == "test"},
                             {row["path"] for row in table if row["fold"] == str(fold)})
            self.assertIn("val", parts.values())

    def test_figures_are_those_of_the_tables(self):
        together = run_json("score", self.file("cv", "predictions.csv"), "--resamples", "200", "--seed", "3")
        for name in ("auc", "log_loss", "accuracy", "auc_interval"):
            self.assertEqual(self.scores["together"][name], together[name], name)
        folds = [run_json("score", self.file("cv", f"fold-{fold}", "predictions.csv"), "--resamples", "0")
                 for fold in range(3)]
        for name in ("auc", "log_loss"):
            values = [scores[name] for scores in folds]
            self.assertAlmostEqual(self.scores["mean"][name], statistics.mean(values), places=12)
            self.assertAlmostEqual(self.scores["sd"][name], statistics.stdev(values), places=12)
        text = run("crossval", self.data, *SMALL, *FOLDS, "--groups", self.groups, "--validation", "0.3",
                   "--out", self.file("cv"), "--resume").stdout
        for word in ("mean", "sd", "together", "majority class", "32x32", "mean grey", "file size", "research"):
            self.assertIn(word, text.replace("Research", "research"))

    def test_thresholds_come_from_the_validation_part(self):
        table = rows(self.file("cv", "predictions.csv"))
        right = sum((float(row["probability"]) >= float(row["threshold"])) == (row["label"] == "1") for row in table)
        self.assertAlmostEqual(self.scores["at_thresholds"]["accuracy"], right / 40, places=12)
        # The best sum of sensitivity and specificity that any threshold reaches on the validation part is reached.
        fold = self.file("cv", "fold-0")
        run("eval", fold, self.data, "--split", "val", "--resamples", "0", "--predictions", self.file("val.csv"))
        cases = [(float(row["probability"]), row["label"] == "1") for row in rows(self.file("val.csv"))]

        def youden(threshold):
            called = [(p >= threshold, label) for p, label in cases]
            return sum(sum(c == label for c, label in called if label == side) /
                       sum(label == side for _, label in called) for side in (False, True))
        with open(os.path.join(fold, "fold.json")) as file:
            threshold = json.load(file)["threshold"]
        self.assertAlmostEqual(youden(threshold), max(youden(p) for p, _ in cases + [(2, True)]), places=12)

    def test_finished_folds_are_not_trained_again(self):
        shutil.copytree(self.file("cv"), self.file("again"))
        for name in os.listdir(self.file("again")):
            if os.path.isfile(self.file("again", name)) and name != "folds.csv":
                os.remove(self.file("again", name))
        # Options name the folder, so that a copy elsewhere is another run.
        self.assertIn("other options", self.crossval("again", "--validation", "0.3", "--resume", expect=2).stderr)
        kept = os.stat(self.file("cv", "fold-0", "best.hilum")).st_mtime_ns
        shutil.rmtree(self.file("cv", "fold-1"))
        done = self.crossval("cv", "--validation", "0.3", "--json", "--resume")
        self.assertEqual(done.stderr.count("epoch"), self.done.stderr.count("epoch") // 3)
        self.assertEqual(os.stat(self.file("cv", "fold-0", "best.hilum")).st_mtime_ns, kept)
        self.assertEqual(json.loads(done.stdout), self.scores)
        self.assertIn("--resume", self.crossval("cv", expect=2).stderr)
        self.assertIn("other options", self.crossval("cv", "--resume", expect=2).stderr)

    def test_table_of_folds_repeats_and_seeds(self):
        table = self.file("folds.csv")
        with open(table, "w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["path", "fold"])
            groups = {}
            for row in rows(self.groups):
                out.writerow([row["path"], groups.setdefault(row["patient"], len(groups)) % 2 + 4])
        done = json.loads(self.crossval("given", "--folds", table, "--seeds", "2", "--json").stdout)
        self.assertEqual([fold["fold"] for fold in done["folds"]], [4, 5])
        self.assertEqual([seed["seed"] for seed in done["seeds"]], [3, 4])
        mean = {row["path"]: float(row["probability"]) for row in rows(self.file("given", "predictions.csv"))}
        alone = [{row["path"]: float(row["probability"])
                  for row in rows(self.file("given", "fold-4", f"seed-{seed}", "predictions.csv"))} for seed in (3, 4)]
        for path in alone[0]:
            self.assertAlmostEqual(mean[path], (alone[0][path] + alone[1][path]) / 2, places=15)
        done = json.loads(self.crossval("repeats", "--k", "2", "--repeats", "2", "--tta", "--json").stdout)
        self.assertEqual((len(done["folds"]), done["n"]), (4, 80))
        self.assertEqual(done["repeats"], 2)
        columns = [[row[name] for row in rows(self.file("repeats", "folds.csv"))] for name in ("fold_1", "fold_2")]
        self.assertNotEqual(*columns)

    def test_baselines_see_what_a_column_gives_away(self):
        # A manifest whose one number is the label, and one that says nothing.
        manifest = self.file("phantoms", "manifest.csv")
        with open(manifest, "w", newline="") as file:
            out = csv.writer(file)
            out.writerow(["path", "label", "patient", "tell", "word", "same"])
            for i, row in enumerate(rows(self.groups)):
                out.writerow([row["path"], row["label"], row["patient"], (row["label"] == "nodule") + i / 1000, "a", 7])
        done = json.loads(run("crossval", manifest, *SMALL, *FOLDS, "--out", self.file("tell"), "--json").stdout)
        os.remove(manifest)
        baselines = {one["name"]: one for one in done["baselines"]}
        self.assertEqual(set(baselines), {"majority class", "nearest of 32x32 thumbnails", "mean grey", "file size", "tell"})
        self.assertEqual(baselines["tell"]["auc"], 1)
        self.assertLess(baselines["tell"]["auc_difference"], 0)
        self.assertAlmostEqual(baselines["majority class"]["auc"], 0.5, places=1)

    def test_controls(self):
        done = self.crossval("shuffled", "--control", "shuffled-labels")
        self.assertIn("Control run, shuffled-labels", done.stdout)
        labels = {row["path"]: row["label"] for row in rows(self.file("shuffled", "predictions.csv"))}
        self.assertNotEqual(labels, {path: str(int(path.startswith("nodule"))) for path in labels})
        self.crossval("background", "--control", "background-only")
        table = rows(self.file("background", "predictions.csv"))
        self.assertEqual({row["path"] for row in table}, set(labels))
        self.assertEqual(len(os.listdir(self.file("background", "background"))), 41)
        # The middle is black, what lies outside the body is as it was.
        pixels = [self.pixels(path) for path in (self.file("background", "background", "00000000.png"),
                                                 os.path.join(self.data, "nodule", sorted(os.listdir(
                                                     os.path.join(self.data, "nodule")))[0]))]
        self.assertEqual(pixels[0][24 * 48 + 24], 0)
        self.assertEqual(pixels[0][:48], pixels[1][:48])
        self.assertNotEqual(*pixels)

    def pixels(self, picture):
        run("convert", picture, self.file("picture.nii"))
        with open(self.file("picture.nii"), "rb") as file:
            return file.read()[352:]

    def test_mirrored_too(self):
        model = self.file("cv", "fold-0")
        plain, both = self.file("plain.csv"), self.file("mirrored.csv")
        run("eval", model, self.data, "--resamples", "0", "--predictions", plain)
        run("eval", model, self.data, "--resamples", "0", "--predictions", both, "--tta")
        changed = [a["probability"] != b["probability"] for a, b in zip(rows(plain), rows(both))]
        self.assertTrue(any(changed))
        # One picture's answer is that of the table.
        path = rows(both)[0]["path"]
        answer = run_json("predict", model, os.path.join(self.data, path), "--tta", "--json")
        self.assertEqual(answer["probability"], float(rows(both)[0]["probability"]))
        # A fold's answers are those of hilum eval.
        self.crossval("mirrored", "--tta", "--validation", "0.3")
        again = self.file("again.csv")
        run("eval", self.file("mirrored", "fold-0"), self.data, "--groups", self.groups, "--resamples", "0",
            "--predictions", again, "--tta")
        self.assertEqual(rows(again), rows(self.file("mirrored", "fold-0", "predictions.csv")))

    def test_wrong_use(self):
        for extra, word in ((["--split", "70/15/15"], "split"), (["--fold", "1", "--folds", self.groups], "fold"),
                            (["--k", "1"], "k"), (["--control", "shuffled-labels", "--seeds", "2"], "shuffled"),
                            (["--resume"], "out"), (["--resamples", "5"], "resamples")):
            done = run("crossval", self.data, *SMALL, *extra, expect=2)
            self.assertIn(word, done.stderr)
        self.assertIn("folds", run("crossval", self.data, *SMALL, "--k", "200", "--out", self.file("many"), expect=1).stderr)


if __name__ == "__main__":
    unittest.main()
