"""kill -9 at random moments of a training, each time resumed: the final weights must be those of an undisturbed run,
and no file of the run folder may ever be unreadable.   KILLS=50 sets the number of kills."""
import os
import random
import re
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


if __name__ == "__main__":
    unittest.main()
