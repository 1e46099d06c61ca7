"""The command line as its manual promises it, from phantoms to a prediction, and what wrong use gets."""
import csv
import json
import os
import re
import shutil
import struct
import subprocess
import unittest
import zlib

from common import HILUM, Phantoms, SMALL, run, run_json

SCORES = ("n log_loss accuracy balanced_accuracy sensitivity specificity precision f1 mcc auc average_precision brier "
          "baseline_log_loss confusion classes").split()


class Contract(Phantoms):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.trained = cls.train("run", "--epochs", "2")
        cls.run_folder = cls.file("run")
        cls.slice = os.path.join(cls.data, "nodule", sorted(os.listdir(os.path.join(cls.data, "nodule")))[0])

    def test_run_folder_is_complete(self):
        for name in "command.txt arch.txt recipe.json split.csv log.csv best.hilum last.hilum".split():
            self.assertTrue(os.path.exists(os.path.join(self.run_folder, name)), name)
        with open(os.path.join(self.run_folder, "log.csv")) as log:
            self.assertEqual(len(list(csv.DictReader(log))), 2)

    def test_split_keeps_groups_together(self):
        sides = {}
        with open(os.path.join(self.run_folder, "split.csv")) as split:
            for row in csv.DictReader(split):
                sides.setdefault(row["group"], set()).add(row["part"])
        self.assertTrue(all(len(parts) == 1 for parts in sides.values()))
        self.assertEqual({"train", "val", "test"}, set().union(*sides.values()))

    def test_training_prints_test_scores_and_notice(self):
        self.assertIn("log loss", self.trained.stdout.lower())
        self.assertIn("esearch", self.trained.stdout)

    def test_eval_json_has_every_figure(self):
        scores = run_json("eval", self.run_folder, self.data, "--groups", self.groups)
        for name in SCORES:
            self.assertIn(name, scores)
        with open(os.path.join(self.run_folder, "split.csv")) as split:
            tested = sum(row["part"] == "test" for row in csv.DictReader(split))
        self.assertEqual(scores["n"], tested)
        self.assertEqual(sum(map(sum, scores["confusion"])), tested)
        self.assertEqual(run_json("eval", self.run_folder, self.data, "--split", "all")["n"], 40)

    def test_eval_predictions_can_be_scored(self):
        table = self.file("predictions.csv")
        scores = run_json("eval", self.run_folder, self.data, "--split", "all", "--predictions", table)
        again = run_json("score", table)
        for name in SCORES:
            if name != "classes":
                self.assertEqual(scores[name], again[name], name)

    def test_eval_text_names_baseline_and_table(self):
        text = run("eval", self.run_folder, self.data).stdout.lower()
        for word in ("baseline", "corrected", "confusion", "log loss", "research"):
            self.assertIn(word, text)

    def test_predict(self):
        line = json.loads(run("predict", self.run_folder, self.slice, "--json").stdout)
        self.assertEqual(line["path"], self.slice)
        self.assertIn(line["class"], ("normal", "nodule"))
        self.assertAlmostEqual(sum(line["probabilities"].values()), 1, places=9)
        self.assertEqual(line["probability"], line["probabilities"]["nodule"])
        self.assertIn("nodule", run("predict", self.run_folder, self.slice).stdout)

    def test_predict_gives_the_same_bits_in_every_process(self):
        files = [os.path.join(self.data, "normal", name) for name in sorted(os.listdir(os.path.join(self.data, "normal")))]
        outputs = {run("predict", os.path.join(self.run_folder, "best.hilum"), *files, "--json").stdout for _ in range(3)}
        self.assertEqual(len(outputs), 1)

    def test_predict_names_bad_files_and_goes_on(self):
        bad = self.file("bad.png")
        with open(bad, "wb") as file:
            file.write(b"\x89PNG\r\n\x1a\n not really")
        done = run("predict", self.run_folder, bad, self.file("absent.png"), self.slice, "--json", expect=1)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([("error" in line) for line in lines], [True, True, False])
        self.assertIn(bad, done.stderr)
        self.assertIn("absent.png", done.stderr)

    def test_odd_names(self):
        names = [b'odd \n name\t"q\\.png', b"not-utf8-\xff\xc3.png", "grün.png".encode(), b"esc\x1b[31m.png", b"absent\xff.png"]
        folder = os.path.join(os.fsencode(self.path), b"odd")
        os.mkdir(folder)
        for name in names[:-1]:
            shutil.copy(self.slice, os.path.join(folder, name))
        paths = [os.path.join(folder, name) for name in names]
        done = subprocess.run([HILUM, "predict", self.run_folder, *paths, "--json"], capture_output=True)
        lines = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
        wanted = [os.path.basename(path).decode("utf-8", "replace") for path in paths]
        self.assertEqual([os.path.basename(line["path"]) for line in lines], wanted)
        self.assertTrue(all(line["research_use_only"] for line in lines))
        text = subprocess.run([HILUM, "predict", self.run_folder, *paths], capture_output=True)
        self.assertEqual(len(text.stdout.splitlines()), len(names) - 1)
        self.assertNotIn(b"\x1b", text.stdout + text.stderr)
        for path, name in zip(paths[:-1], wanted):
            self.assertEqual(os.path.basename(json.loads(
                subprocess.run([HILUM, "info", path, "--json"], capture_output=True).stdout)["path"]), name)

    def test_train_eval_and_predict_give_the_same_bits(self):
        stored = json.loads(run("info", self.run_folder, "--json").stdout)["scores"]
        scores = run_json("eval", self.run_folder, self.data, "--groups", self.groups)
        for name in SCORES:
            self.assertEqual(stored[name], scores[name], name)
        table = self.file("one-by-one.csv")
        run("eval", self.run_folder, self.data, "--split", "all", "--predictions", table)
        with open(table, newline="") as file:
            evaluated = {row["path"]: float(row["probability"]) for row in csv.DictReader(file)}
        files = [os.path.join(self.data, path) for path in evaluated]
        lines = run("predict", self.run_folder, *files, "--json").stdout.splitlines()
        self.assertEqual(list(evaluated.values()), [json.loads(line)["probability"] for line in lines])

    def test_what_a_reader_must_know_is_said(self):
        self.assertIn("positive: nodule; negative: normal", self.trained.stderr)
        self.assertNotIn("no groups", self.trained.stderr)
        done = run("train", self.data, *SMALL, "--epochs", "1", "--split", "80/20/0", "--out", self.file("untested"))
        self.assertIn("no groups were given", done.stderr)
        self.assertIn("No test part", done.stdout)
        self.assertIn("esearch", done.stdout)
        run("train", self.data, *SMALL, "--epochs", "1", "--out", self.file("ungrouped"))
        with open(self.file("pairs.csv"), "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "group"))
            with open(self.file("ungrouped", "split.csv"), newline="") as split:
                writer.writerows((row["path"], "same") for row in csv.DictReader(split))
        done = run("eval", self.file("ungrouped"), self.data, "--groups", self.file("pairs.csv"))
        self.assertIn("trained without these groups", done.stderr)

    def test_quantize(self):
        model = self.file("bytes.hilum")
        best = os.path.join(self.run_folder, "best.hilum")
        for words in (["predict", best, self.slice], ["eval", best, self.data], ["bench", "--net", best, "--mode", "infer"]):
            self.assertIn("hilum quantize", run(*words, "--precision", "int8", expect=1).stderr)
        result = run_json("quantize", best, self.data, "--groups", self.groups, "--out", model, "--cases", 8)
        self.assertEqual((result["part"], result["cases"], result["test_part"]), ("train", 8, "test"))
        self.assertLess(result["mean_difference"], 0.05)
        plain = run_json("eval", best, self.data, "--groups", self.groups)
        kept = run_json("eval", model, self.data, "--groups", self.groups)
        table = self.file("bytes.csv")
        scores = run_json("eval", model, self.data, "--groups", self.groups, "--precision", "int8", "--predictions", table)
        for name in ("auc", "log_loss", "accuracy"):
            self.assertEqual(plain[name], kept[name], name)
            self.assertEqual(result[name], {"fp32": plain[name], "int8": scores[name]}, name)
        with open(table, newline="") as file:
            rows = list(csv.DictReader(file))
        for threads in ("1", "2"):
            lines = run("predict", model, *[os.path.join(self.data, row["path"]) for row in rows], "--json", "--precision",
                        "int8", "--threads", threads).stdout.splitlines()
            self.assertEqual([json.loads(line)["probability"] for line in lines], [float(row["probability"]) for row in rows])
        self.assertIn("difference", run("quantize", model, self.data).stdout)

    def test_architecture_errors_name_the_file(self):
        arch = self.file("broken.txt")
        with open(arch, "w") as file:
            file.write("conv filters=8 size=3 strid=2\n")
        done = run("train", self.data, "--arch", arch, "--out", self.file("never"), expect=2)
        self.assertIn("broken.txt: line 1", done.stderr)
        self.assertFalse(os.path.exists(self.file("never")))

    def test_closed_streams_do_not_reach_files(self):
        words = [HILUM, "train", self.data, *SMALL, "--groups", self.groups, "--epochs", "1", "--out"]
        for closing, code in (("2>&- >/dev/null", 0), (">&-", 1), ("<&- >&- 2>&-", 1)):
            out = self.file(f"closed {closing.replace('/', ' ')}")
            done = subprocess.run(["sh", "-c", '"$@" ' + closing, "sh", *words, out], stderr=subprocess.DEVNULL)
            self.assertEqual(done.returncode, code, closing)
            with open(os.path.join(out, "lock"), "rb") as lock:
                self.assertEqual(lock.read(), b"", closing)

    def test_info(self):
        model = run_json("info", self.run_folder)
        self.assertIn("classes", json.dumps(model))
        picture = run_json("info", self.slice)
        self.assertEqual((picture["width"], picture["height"]), (48, 48))
        self.assertIn("conv", run("info", self.run_folder, "--plan").stdout)

    def test_narrow_16_bit_pictures_are_warned_of(self):
        def write(path, largest):
            def chunk(kind, data):
                return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            rows = b"".join(b"\0" + struct.pack(">16H", *[largest * (x + y) // 30 for x in range(16)]) for y in range(16))
            with open(path, "wb") as file:
                file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, 16, 0, 0, 0, 0)) +
                           chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
        for label in ("healthy", "ill"):
            os.makedirs(self.file("deep", label))
            for i in range(20):
                write(self.file("deep", label, f"{i:02}.png"), 4095 if i < 19 else 65535)
        for name, narrow in (("00.png", True), ("19.png", False)):
            self.assertEqual("warning" in run_json("info", self.file("deep", "ill", name)), narrow)
            self.assertEqual("4095" in run("info", self.file("deep", "ill", name)).stdout, narrow)
        # All of them alike, which is beside the point here.
        words = ["--arch", "seed filters=4 dense=4", "--size", "16", "--epochs", "1", "--out", self.file("deep-run"),
                 "--allow-leakage"]
        done = run("train", self.file("deep"), *words)
        self.assertEqual(len(re.findall(r"\d+ of \d+ pictures are 16-bit with no value above 4095", done.stderr)), 1)
        done = run("eval", self.file("deep-run"), self.file("deep"), "--split", "all")
        self.assertEqual(done.stderr.count("38 of 40 pictures are 16-bit with no value above 4095"), 1)
        self.assertNotIn("4095", self.trained.stderr)

    def test_ops_and_doctor(self):
        text = run("ops").stdout
        for op in "conv dense batchnorm maxpool avgpool globalpool relu leakyrelu silu gelu sigmoid softmax dropout " \
                  "flatten add concat pad".split():
            self.assertIn(op, text)
        json.loads(run("ops", "--json").stdout)
        run("doctor")
        json.loads(run("doctor", "--json").stdout)

    def test_every_verb_has_help_and_manual(self):
        overview = run("--help").stdout
        for verb in "phantom train eval score compare calibrate quantize predict info lungs ops doctor bench".split():
            self.assertIn(verb, overview)
            options = {word.strip("[]") for word in run(verb, "--help").stdout.split() if word.startswith("--")}
            manual = run("help", "--man", verb).stdout.replace("\\-", "-")
            for option in options:
                self.assertIn(option, manual)
            self.assertEqual(run(verb, "-h").stdout, run(verb, "--help").stdout)
        self.assertIn("0.", run("--version").stdout)

    def test_misuse_exits_2(self):
        for arguments in ([], ["nonsense"], ["train"], ["train", self.data, "--nonsense", "1"],
                          ["train", self.data, "--epochs", "many"], ["train", self.data, "--epochs", "-1"],
                          ["train", self.data, "--epochs"], ["phantom", self.file("x"), "--size", "7"],
                          ["eval", self.run_folder], ["train", self.data, "--precision", "fp8"],
                          ["bench", "--precision", "fp8"], ["bench", "--net", self.file("nowhere")],
                          ["bench", "--batch", "-1"], ["bench", "S"], ["compare", "a.csv"],
                          ["score", "a.csv", "--by", "patient"], ["score", "a.csv", "--prevalence", "2"]):
            done = run(*arguments, expect=2)
            self.assertTrue(done.stderr.strip(), arguments)

    def test_failure_exits_1_and_names_the_file(self):
        for arguments, words in ((["train", self.file("nowhere"), *SMALL], "nowhere"),
                                 (["eval", self.file("nowhere"), self.data], "nowhere"),
                                 (["score", self.file("nowhere.csv")], "nowhere.csv"),
                                 (["compare", self.file("nowhere.csv"), self.slice], "nowhere.csv"),
                                 (["predict", self.slice, self.slice], os.path.basename(self.slice))):
            self.assertIn(words, run(*arguments, expect=1).stderr)

    def test_full_disk_is_an_error(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        for arguments in (["ops"], ["--version"], ["--help"], ["help", "train"], ["train", "--help"],
                          ["predict", self.run_folder, self.slice], ["eval", self.run_folder, self.data, "--json"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run([HILUM, *arguments], stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual(done.returncode, 1, arguments)
            self.assertTrue("output" in done.stderr or "writ" in done.stderr, (arguments, done.stderr))

    def test_existing_run_is_not_overwritten(self):
        done = self.train("run", "--epochs", "2", expect=None)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--resume", done.stderr)

    def test_resume_refuses_a_default_that_was_asked_for(self):
        done = self.train("run", "--epochs", "20", "--resume", expect=2)
        self.assertIn('epochs is "20", but the run was started with "2"', done.stderr)
        run("train", self.data, "--groups", self.groups, "--out", self.run_folder, "--resume", "--batch", "8")

    def test_manifest_with_three_classes(self):
        rows = []
        for label in ("normal", "nodule"):
            for i, name in enumerate(sorted(os.listdir(os.path.join(self.data, label)))):
                rows.append((f"phantoms/{label}/{name}", "other" if i % 3 == 0 else label))
        manifest = self.file("manifest.csv")
        with open(manifest, "w", newline="") as file:
            csv.writer(file).writerows([("path", "label"), *rows])
        run("train", manifest, *SMALL, "--epochs", "1", "--out", self.file("three"))
        scores = run_json("eval", self.file("three"), manifest, "--split", "all")
        self.assertEqual(scores["classes"], ["nodule", "normal", "other"])
        self.assertEqual(len(scores["confusion"]), 3)
        merged = self.file("merged")
        run("train", manifest, *SMALL, "--epochs", "1", "--out", merged, "--positive", "nodule,other")
        self.assertEqual(len(run_json("eval", merged, manifest, "--positive", "nodule,other")["classes"]), 2)

    def test_transfer(self):
        done = self.train("transfer", "--epochs", "1", "--init", self.run_folder, "--freeze", "1")
        self.assertIn("weights", done.stderr)

    def test_group_on_two_sides_is_refused(self):
        manifest = self.file("leak.csv")
        parts = ["train", "train", "test", "val"]
        with open(manifest, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "label", "patient", "split"))
            for label in ("normal", "nodule"):
                for i, name in enumerate(sorted(os.listdir(os.path.join(self.data, label)))):
                    writer.writerow((f"phantoms/{label}/{name}", label, f"{label}{i // 2}", parts[i % 4]))
        done = run("train", manifest, *SMALL, "--epochs", "1", "--out", self.file("leak"), expect=1)
        self.assertIn("group", done.stderr)

    def test_bf16(self):
        self.train("bf16", "--epochs", "1", "--precision", "bf16")
        shutil.rmtree(self.file("bf16"))

    def test_bench(self):
        net = self.file("net.txt")
        with open(net, "w") as file:
            file.write("input 1x8x8x3\nconv filters=4 size=3 pad=1\nbatchnorm\nrelu\nglobalpool\ndense units=1\n")
        forward = 2 * (64 * 4 * 27 + 4)
        for mode, flops in (("train", 3 * forward - 2 * 64 * 4 * 27), ("infer", forward)):
            for precision in ("fp32", "bf16"):
                result = run_json("bench", "--net", net, "--mode", mode, "--precision", precision, "--batch", 2,
                                  "--threads", 1, "--repeats", 3)
                self.assertEqual([result[name] for name in ("net", "mode", "precision", "batch", "threads", "repeats")],
                                 [net, mode, precision, 2, 1, 3])
                self.assertTrue(0 < result["min_ms"] <= result["median_ms"] <= result["max_ms"])
                self.assertAlmostEqual(result["images_per_s"] * result["median_ms"] / 2000, 1)
                self.assertAlmostEqual(result["gflops"] * 1e9 / (flops * result["images_per_s"]), 1)
                self.assertAlmostEqual(result["peak_share"] * result["peak_gflops"] / result["gflops"], 1)
                self.assertGreater(result["cpu_ms"], 0)
                self.assertNotIn("nodes", result)
        short = ["--threads", "1", "--repeats", "1"]
        nodes = run_json("bench", "--net", self.run_folder, *short, "--batch", 2, "--nodes")["nodes"]
        layers = run_json("info", self.run_folder)["layers"]
        self.assertEqual([node["name"] for node in nodes], [layer["name"] for layer in layers])
        self.assertGreater(sum(node["backward_ms"] for node in nodes), 0)
        self.assertIn("images/s", run("bench", "--net", net, "--mode", "infer", *short, "--nodes").stdout)
        self.assertIn("int8", run("bench", "--net", net, "--mode", "train", "--precision", "int8", expect=1).stderr)
        result = run_json("bench", "--net", net, "--mode", "infer", "--precision", "int8", *short)
        self.assertEqual((result["precision"], result["batch"]), ("int8", 1))
        with open(net, "w") as file:
            file.write("conv filters=4 size=3\n")
        self.assertIn("net.txt: line 1", run("bench", "--net", net, expect=2).stderr)


if __name__ == "__main__":
    unittest.main()
