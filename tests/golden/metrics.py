#!/usr/bin/python3
"""Every figure of `hilum score` against scikit-learn, on random tables.

    tests/golden/metrics.py build/hilum [--tables 1000] [--seed 1]

Needs python3-sklearn. Tables are binary and multi-class, of 1 to 2,000 cases, with ties, one class only, classes that
never occur, and probabilities of exactly 0 and 1. Ends with status 1 if any figure is off by more than 1e-9.
"""
import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import warnings

import numpy as np
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize

TOLERANCE = 1e-9
SIZES = [1, 1, 2, 3, 5, 8, 13, 40, 100, 300, 1000, 2000]


def rough(rng, values):
    """Values as they are, as float32, or rounded so that many tie."""
    kind = rng.integers(4)
    if kind == 0:
        return values.astype(np.float32).astype(np.float64)
    return values if kind == 1 else np.round(values, int(kind) - 1)


def binary(rng, n):
    y = rng.integers(0, 2, n) if rng.random() < 0.8 else np.full(n, rng.integers(2))
    if rng.random() < 0.3:
        y = (rng.random(n) < rng.random()).astype(int)
    kind = rng.integers(5)
    if kind == 0:
        p = rng.random(n)
    elif kind == 1:
        p = np.clip(0.3 + 0.4 * y + 0.25 * rng.standard_normal(n), 0, 1)
    elif kind == 2:
        p = rng.integers(0, 2, n).astype(float)
    elif kind == 3:
        p = np.full(n, rng.choice([0, 0.25, 0.5, 1, rng.random()]))
    else:
        p = rng.choice([0, 1e-300, 1e-16, 1e-8, 0.5, np.nextafter(0.5, 0), 1 - 1e-12, np.nextafter(1, 0), 1], n)
    return 2, y, rough(rng, p) if kind < 2 else p


def multiclass(rng, n):
    classes = int(rng.integers(3, 9))
    used = rng.choice(classes, rng.integers(1, classes + 1), replace=False) if rng.random() < 0.3 else np.arange(classes)
    y = rng.choice(used, n)
    kind = rng.integers(4)
    if kind == 0:
        p = rng.dirichlet(np.full(classes, rng.choice([0.1, 1, 10])), n)
    elif kind == 1:
        p = rng.multinomial(10, np.full(classes, 1 / classes), n) / 10
    elif kind == 2:
        p = np.eye(classes)[rng.integers(0, classes, n)]
    else:
        p = 0.5 * rng.dirichlet(np.ones(classes), n) + 0.5 * np.eye(classes)[y]
    return classes, y, p


def figures(classes, y, p, predicted):
    """What scikit-learn says; None where a figure is undefined."""
    one = dict(zero_division=0)
    labels = np.arange(classes)
    out = {
        "log_loss": sk.log_loss(y, p, labels=labels),
        "accuracy": sk.accuracy_score(y, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(y, predicted),
        "mcc": sk.matthews_corrcoef(y, predicted),
    }
    if classes == 2:
        out["sensitivity"] = sk.recall_score(y, predicted, pos_label=1, **one)
        out["specificity"] = sk.recall_score(1 - y, 1 - predicted, pos_label=1, **one)
        out["precision"] = sk.precision_score(y, predicted, **one)
        out["f1"] = sk.f1_score(y, predicted, **one)
        out["auc"] = sk.roc_auc_score(y, p) if 0 < y.sum() < len(y) else None
        out["average_precision"] = sk.average_precision_score(y, p)
        out["brier"] = sk.brier_score_loss(y, p)
        return out
    macro = dict(average="macro", labels=labels, **one)
    out["sensitivity"] = sk.recall_score(y, predicted, **macro)
    out["specificity"] = np.mean([sk.recall_score((y != c) + 0, (predicted != c) + 0, **one) for c in labels])
    out["precision"] = sk.precision_score(y, predicted, **macro)
    out["f1"] = sk.f1_score(y, predicted, **macro)
    every = len(np.unique(y)) == classes
    out["auc"] = sk.roc_auc_score(y, p, multi_class="ovr", labels=labels) if every else None
    out["average_precision"] = sk.average_precision_score(label_binarize(y, classes=labels), p, average="macro")
    out["brier"] = np.mean(np.sum((p - np.eye(classes)[y]) ** 2, axis=1))
    return out


def per_class(classes, y, p, predicted):
    out = []
    for c in range(classes):
        t, h = (y == c) + 0, (predicted == c) + 0
        out.append({
            "n": int(t.sum()),
            "sensitivity": sk.recall_score(t, h, zero_division=0),
            "specificity": sk.recall_score(1 - t, 1 - h, zero_division=0),
            "precision": sk.precision_score(t, h, zero_division=0),
            "f1": sk.f1_score(t, h, zero_division=0),
            "auc": sk.roc_auc_score(t, p[:, c]) if 0 < t.sum() < len(t) else None,
            "average_precision": sk.average_precision_score(t, p[:, c]),
        })
    return out


def expected(classes, y, p):
    predicted = (p >= 0.5).astype(int) if classes == 2 else p.argmax(axis=1)
    out = figures(classes, y, p, predicted)
    share = np.bincount(y, minlength=classes) / len(y)
    constant = np.full(len(y), share[1]) if classes == 2 else np.tile(share, (len(y), 1))
    majority = np.full(len(y), share.argmax())
    for name, value in figures(classes, y, constant, majority).items():
        out["baseline_" + name] = value
    out["confusion"] = sk.confusion_matrix(y, predicted, labels=np.arange(classes)).tolist()
    out["n"] = len(y)
    if classes > 2:
        out["per_class"] = per_class(classes, y, p, predicted)
    return out


def write(path, rng, classes, y, p):
    names = ["c%d" % c for c in range(classes)]
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        if classes == 2:
            out.writerow(["label", "probability"])
            out.writerows([int(a), repr(float(b))] for a, b in zip(y, p))
        else:
            named = rng.random() < 0.5
            out.writerow(["label"] + ["p_" + name for name in names])
            out.writerows([names[a] if named else int(a)] + [repr(float(b)) for b in row] for a, row in zip(y, p))


def compare(name, got, want, worst):
    if isinstance(want, dict):
        return all([compare(name + "." + key, got.get(key, "missing"), want[key], worst) for key in want])
    if isinstance(want, list):
        return len(got) == len(want) and all(
            [compare("%s[%d]" % (name, i), g, w, worst) for i, (g, w) in enumerate(zip(got, want))])
    if want is None or got is None or isinstance(got, str):
        return got is None and want is None
    off = abs(got - want)
    key = name.split(".")[-1]
    worst[key] = max(worst.get(key, 0), off)
    return off <= TOLERANCE and not math.isnan(off)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hilum")
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(args.seed)
    failed, compared, worst = 0, 0, {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.csv")
        for i in range(args.tables):
            make = binary if rng.random() < 0.6 else multiclass
            classes, y, p = make(rng, int(rng.choice(SIZES)))
            write(path, rng, classes, y, p)
            run = subprocess.run([args.hilum, "score", path, "--json"], capture_output=True, text=True)
            want = expected(classes, y, p)
            compared += len(want)
            got = json.loads(run.stdout) if run.returncode == 0 else {}
            wrong = [key for key in want if not compare(key, got.get(key, "missing"), want[key], worst)]
            if wrong:
                failed += 1
                print("table %d (%d cases, %d classes): %s %s" % (i, len(y), classes, run.stderr.strip(), ", ".join(
                    "%s is %s, not %s" % (key, got.get(key, "missing"), want[key]) for key in wrong[:4])))
    print("%d tables, %d figures, largest difference %.1e (%s); %d tables differ by more than %g" % (
        args.tables, compared, max(worst.values(), default=0), max(worst, key=worst.get, default="none"), failed,
        TOLERANCE))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
