"""Helpers of the command line's tests: standard library only."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HILUM = os.environ.get("HILUM") or sys.exit("HILUM names the program under test")


def run(*arguments, expect=0, **options):
    """Runs hilum and returns the finished process; fails unless it exits as expected (None: anything)."""
    done = subprocess.run([HILUM, *map(str, arguments)], capture_output=True, text=True, timeout=300, **options)
    if expect is not None and done.returncode != expect:
        raise AssertionError(f"hilum {' '.join(map(str, arguments))}: exit {done.returncode}, not {expect}\n"
                             f"{done.stdout}{done.stderr}")
    return done


def run_json(*arguments, **options):
    return json.loads(run(*arguments, "--json", **options).stdout)


SMALL = ["--arch", "seed filters=4,8 dense=8", "--size", "32", "--batch", "8", "--seed", "3"]


class Phantoms(unittest.TestCase):
    """Forty small phantoms, drawn once for a test class."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="hilum-test-")
        cls.path = cls.folder.name
        cls.data = cls.file("phantoms")
        run("phantom", cls.data, "--cases", "40", "--size", "48", "--seed", "5")
        cls.groups = os.path.join(cls.data, "truth.csv")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def file(cls, *names):
        return os.path.join(cls.path, *names)

    @classmethod
    def train(cls, name, *extra, **options):
        return run("train", cls.data, *SMALL, "--groups", cls.groups, "--out", cls.file(name), *extra, **options)
