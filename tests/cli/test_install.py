"""The library as another program meets it: installed, found by pkg-config, linked, used; the same bits as the program."""
import json
import os
import subprocess
import unittest

from common import Phantoms, run

SOURCE, BUILD = os.environ["SOURCE"], os.environ["BUILD"]


class Install(Phantoms):
    def test_example_predicts_the_same_bits(self):
        self.train("run", "--epochs", "1")
        root = self.file("root")
        subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet"], check=True,
                       env={**os.environ, "DESTDIR": root}, stdout=subprocess.DEVNULL)
        found = [folder for folder, _, names in os.walk(root) if "hilum.pc" in names]
        self.assertEqual(len(found), 1, "hilum.pc")
        environment = {**os.environ, "PKG_CONFIG_PATH": found[0], "PKG_CONFIG_SYSROOT_DIR": root}
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", "hilum"], check=True, capture_output=True, text=True,
                               env=environment).stdout.split()
        example = self.file("example")
        subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", os.path.join(SOURCE, "examples", "predict.c"),
                        "-o", example, *flags], check=True)
        library = next(flag[2:] for flag in flags if flag.startswith("-L"))
        files = [os.path.join(self.data, "nodule", name) for name in sorted(os.listdir(os.path.join(self.data, "nodule")))]
        done = subprocess.run([example, self.file("run", "best.hilum"), *files], check=True, capture_output=True, text=True,
                              env={**os.environ, "LD_LIBRARY_PATH": library})
        program = [json.loads(line) for line in run("predict", self.file("run"), *files, "--json").stdout.splitlines()]
        self.assertEqual([float(line.rsplit(" ", 1)[1]) for line in done.stdout.splitlines()],
                         [line["probability"] for line in program])
        for page in ("hilum.1", "hilum-train.1"):
            self.assertTrue(any(page in names for _, _, names in os.walk(root)), page)


if __name__ == "__main__":
    unittest.main()
