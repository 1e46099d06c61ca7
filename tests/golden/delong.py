#!/usr/bin/python3
"""DeLong's variance, interval and test of `hilum score` and `hilum compare` against pROC (Debian's r-cran-proc).

    tests/golden/delong.py build/hilum [--tables 300] [--seed 1]

Two models on random tables of 6 to 3,000 cases, with and without ties, areas from below 0.5 to 1. Ends with status 1 if
any number is off by more than 1e-6.
"""
import argparse
import csv
import json
import math
import os
import random
import subprocess
import sys
import tempfile

TOLERANCE = 1e-6
SIZES = [6, 8, 12, 20, 50, 100, 300, 1000, 3000]
JUDGE = """
suppressMessages(library(pROC))
folder <- commandArgs(trailingOnly = TRUE)[1]
show <- function(...) cat(paste(sprintf("%.17g", c(...)), collapse = " "), "\\n")
for (i in seq_len(as.integer(commandArgs(trailingOnly = TRUE)[2])) - 1) {
  a <- read.csv(sprintf("%s/%d-a.csv", folder, i)); b <- read.csv(sprintf("%s/%d-b.csv", folder, i))
  b <- b[match(a$path, b$path), ]
  ra <- roc(a$label, a$probability, levels = c(0, 1), direction = "<", quiet = TRUE)
  rb <- roc(b$label, b$probability, levels = c(0, 1), direction = "<", quiet = TRUE)
  suppressWarnings({
    interval <- as.numeric(ci.auc(ra, method = "delong"))
    test <- roc.test(ra, rb, method = "delong", paired = TRUE)
    show(auc(ra), var(ra, method = "delong"), interval[1], interval[3], test$p.value, test$conf.int[1], test$conf.int[2])
  })
}
"""


def table(rng, n):
    positives = rng.randint(2, n - 2)
    labels = [1] * positives + [0] * (n - positives)
    rng.shuffle(labels)
    digits = rng.choice([1, 2, 17])
    rows = []
    strength = [rng.choice([-0.3, 0, 0.5, 1, 2, 4]) for _ in range(2)]
    for i, label in enumerate(labels):
        shared = rng.gauss(0, 1)
        p = [1 / (1 + math.exp(-(s * (label - 0.5) + shared + rng.gauss(0, 0.7)))) for s in strength]
        rows.append((f"case{i}", label, *(round(x, digits) for x in p)))
    return rows


def write(path, rows, column, rng):
    rows = list(rows)
    rng.shuffle(rows)
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["path", "label", "probability"])
        out.writerows((row[0], row[1], repr(row[column])) for row in rows)


def ours(hilum, a, b):
    run = lambda *words: json.loads(subprocess.run([hilum, *words, "--json", "--resamples", "100"], check=True,
                                                   capture_output=True, text=True).stdout)
    score, compared = run("score", a), run("compare", a, b)
    delong, test = score["delong"], compared["delong"]
    interval = delong["interval"] or [score["auc"], score["auc"]]  # an area of 1: pROC says 1 to 1
    test = test or {"p": math.nan, "interval": [math.nan, math.nan]}
    return [score["auc"], delong["variance"], *interval, test["p"], *test["interval"]]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("hilum")
    arguments.add_argument("--tables", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    rng = random.Random(given.seed)
    worst, compared, skipped = 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        names = [(os.path.join(folder, f"{i}-a.csv"), os.path.join(folder, f"{i}-b.csv")) for i in range(given.tables)]
        for a, b in names:
            rows = table(rng, rng.choice(SIZES))
            write(a, rows, 2, rng)
            write(b, rows, 3, rng)
        script = os.path.join(folder, "judge.R")
        with open(script, "w") as file:
            file.write(JUDGE)
        judged = subprocess.run(["Rscript", script, folder, str(given.tables)], check=True, capture_output=True,
                                text=True).stdout.splitlines()
        for (a, b), line in zip(names, judged, strict=True):
            for mine, theirs in zip(ours(given.hilum, a, b), map(float, line.split()), strict=True):
                if math.isnan(mine) or math.isnan(theirs):
                    skipped += 1
                    continue
                compared += 1
                worst = max(worst, abs(mine - theirs))
    print(f"{given.tables} tables, {compared} numbers, {skipped} undefined; largest difference {worst:.3g}")
    return worst > TOLERANCE or compared < 6 * given.tables


if __name__ == "__main__":
    sys.exit(main())
