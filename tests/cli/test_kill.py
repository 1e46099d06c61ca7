"""kill -9 at random moments of a training, each time resumed: the final weights must be those of an undisturbed run,
and no file of the run folder may ever be unreadable.   KILLS=50 sets the number of kills."""
import os
import random
import re
import shlex
import signal
import subprocess
import time
import unittest

from common import HILUM, Phantoms, SMALL, run


def weights(done):
    return re.search(r"weights ([0-9a-f]{16})", done.stderr).group(1)


class Kill(Phantoms):
    SETTINGS = ["--epochs", "6", "--checkpoint", "0", "--augment", "medium", "--ema", "0.9"]

    def command(self, name):
        return [HILUM, "train", self.data, *SMALL, "--groups", self.groups, "--out", self.file(name), *self.SETTINGS,
                "--resume"]

    def readable(self, name):
        for model in ("best.hilum", "last.hilum"):
            path = self.file(name, model)
            if os.path.exists(path):
                run("info", path)

    def test_resumed_runs_end_in_the_same_weights(self):
        started = time.monotonic()
        whole = self.train("whole", *self.SETTINGS)
        duration = time.monotonic() - started
        chance = random.Random(7)
        kills, wanted, number = 0, int(os.environ.get("KILLS", "8")), 0
        while kills < wanted:
            number += 1
            name = f"killed{number}"
            for _ in range(200):
                process = subprocess.Popen(self.command(name), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
                try:
                    _, text = process.communicate(timeout=chance.uniform(0.02, duration * 0.7))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    kills += 1
                    self.readable(name)
                    continue
                self.assertEqual(process.returncode, 0, text)
                break
            done = run(*self.command(name)[1:])
            self.assertEqual(weights(done), weights(whole), f"{name} after {kills} kills")
        print(f"{kills} kills in {number} trainings of {duration:.1f} s")

    def test_interrupt_saves_and_says_how_to_resume(self):
        whole = weights(self.train("quiet", *self.SETTINGS))
        process = subprocess.Popen(self.command("stopped"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while not os.path.exists(self.file("stopped", "log.csv")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=60)
        if process.returncode != 0:
            self.assertIn("--resume", text)
        self.assertEqual(weights(run(*self.command("stopped")[1:])), whole)

    def test_the_hint_of_an_interrupted_run_can_be_pasted(self):
        process = subprocess.Popen(self.command("it's a $run"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while not os.path.exists(self.file("it's a $run", "log.csv")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, text = process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0, text)
        hint = re.search(r"go on with (--out .* --resume)", text).group(1)
        self.assertEqual(shlex.split(hint), ["--out", self.file("it's a $run"), "--resume"])

    def test_interrupted_prediction_ends_after_a_picture(self):
        self.train("model", "--epochs", "1")
        picture = os.path.join(self.data, "nodule", sorted(os.listdir(os.path.join(self.data, "nodule")))[0])
        count = 20000
        with open(self.file("lines"), "w+") as out:
            process = subprocess.Popen([HILUM, "predict", self.file("model"), *[picture] * count, "--json"], stdout=out,
                                       stderr=subprocess.PIPE, text=True)
            while os.path.getsize(self.file("lines")) == 0 and process.poll() is None:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            _, text = process.communicate(timeout=60)
            out.seek(0)
            lines = out.readlines()
        self.assertEqual(process.returncode, 1, text)
        self.assertLess(len(lines), count)
        self.assertEqual(len(set(lines)), 1)
        self.assertIn(f"stopped after {len(lines)} of {count}", text)


if __name__ == "__main__":
    unittest.main()
