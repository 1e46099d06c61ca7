"""Intervals, patients, comparison and calibration from the command line."""
import csv
import json
import math
import os
import shutil
import unittest

from common import Phantoms, run, run_json


class Evaluation(Phantoms):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.train("run", "--epochs", "2")
        cls.run_folder = cls.file("run")
        cls.table = cls.file("cases.csv")
        run("eval", cls.run_folder, cls.data, "--groups", cls.groups, "--split", "all", "--predictions", cls.table)

    def test_every_figure_has_an_interval_and_the_seed_decides(self):
        scores = run_json("score", self.table)
        for name in ("auc", "log_loss", "accuracy", "brier", "average_precision"):
            low, high = scores[name + "_interval"]
            self.assertTrue(low <= scores[name] <= high, name)
        self.assertEqual(scores["intervals"]["resamples"], 2000)
        self.assertEqual(scores, run_json("score", self.table))
        other = run_json("score", self.table, "--seed", "2")
        self.assertEqual(scores["auc"], other["auc"])
        self.assertNotEqual(scores["log_loss_interval"], other["log_loss_interval"])
        self.assertIsNone(run_json("score", self.table, "--resamples", "0")["intervals"])

    def test_without_groups_cases_are_said_to_be_independent(self):
        plain = self.file("plain.csv")
        with open(self.table) as source, open(plain, "w") as target:
            rows = csv.DictReader(source)
            out = csv.DictWriter(target, ["path", "label", "probability"], extrasaction="ignore")
            out.writeheader()
            out.writerows(rows)
        scores = run_json("score", plain)
        self.assertTrue(scores["intervals"]["independent_cases"])
        self.assertGreater(scores["delong"]["variance"], 0)
        self.assertIn("No groups were given", run("score", plain).stdout)
        self.assertNotIn("No groups were given", run("score", self.table).stdout)

    def test_patients(self):
        with open(self.table) as source:
            groups = len({row["group"] for row in csv.DictReader(source)})
        scores = run_json("score", self.table, "--by", "group", "--aggregate", "noisy-or")
        self.assertEqual((scores["n"], scores["by"], scores["aggregate"]), (groups, "group", "noisy-or"))
        # Chosen on the validation part, for the test part of the model's own data.
        scores = run_json("eval", self.run_folder, self.data, "--groups", self.groups, "--by", "group")
        self.assertIn(scores["aggregate"], ("mean", "max", "noisy-or"))
        self.assertTrue(scores["aggregate_chosen_on_validation"])
        scores = run_json("eval", self.run_folder, self.data, "--groups", self.groups, "--by", "group", "--split", "all")
        self.assertEqual((scores["aggregate"], scores["aggregate_chosen_on_validation"]), ("mean", False))

    def test_compare(self):
        text = run("compare", self.table, self.table).stdout
        self.assertIn("In ROC-AUC there is no difference.", text)
        done = run_json("compare", self.table, self.table, "--by", "group")
        self.assertFalse(any(figure["significant"] for figure in done["figures"].values()))

    def test_calibrate(self):
        model = self.file("calibrated.hilum")
        shutil.copy(os.path.join(self.run_folder, "best.hilum"), model)
        done = run_json("calibrate", model, self.data, "--groups", self.groups, "--method", "temperature", "--split", "all",
                        "--conformal", "0.2")
        self.assertEqual((done["method"], done["fitted"]["part"]), ("temperature", "all"))
        image = os.path.join(self.data, "nodule", sorted(os.listdir(os.path.join(self.data, "nodule")))[0])
        line = json.loads(run("predict", model, image, "--json").stdout)
        raw = line["probability_raw"]
        logit = done["slope"] * math.log(raw / (1 - raw)) + done["intercept"]
        self.assertAlmostEqual(line["probability"], 1 / (1 + math.exp(-logit)), places=12)
        zone = ("low" if raw < done["conformal"]["low_below"] else "high" if raw > done["conformal"]["high_above"]
                else "uncertain")
        self.assertEqual(line["zone"], zone)
        self.assertIn("zone: " + zone, run("predict", model, image).stdout)
        self.assertEqual(run_json("info", model)["calibration"]["map"]["kind"], "temperature")
        # eval answers as predict does, from the calibrated probabilities.
        table = self.file("calibrated.csv")
        run("eval", model, self.data, "--split", "all", "--predictions", table)
        with open(table) as source:
            probabilities = {row["path"]: float(row["probability"]) for row in csv.DictReader(source)}
        self.assertEqual(probabilities[os.path.relpath(image, self.data)], line["probability"])
        # By default the validation part of the model's own data.
        own = run_json("calibrate", model, self.data, "--groups", self.groups, "--method", "none")
        self.assertEqual(own["fitted"]["part"], "val")
        self.assertNotIn("calibration", run_json("info", model))
        with open(model, "rb") as one, open(os.path.join(self.run_folder, "best.hilum"), "rb") as two:
            self.assertEqual(one.read(), two.read())


if __name__ == "__main__":
    unittest.main()
