#!/usr/bin/python3
"""Prints the tables of docs/results.md from what tools/results/run left behind, with the baselines beside them.

  table.py iq|lidc DATA FOLDS.csv OUT [PEER.csv]     PEER.csv: another program's out-of-fold predictions (path, fold, p)
  table.py lidc3d DATA FOLDS.csv OUT SLICES          SLICES: the folder OUT of lidc, whose slices are averaged nodule by nodule

Baselines: the majority class of the training folds; the nearest neighbour in the training folds on 32x32 thumbnails; for
nodules the diameter alone. Everything is computed by scikit-learn and numpy (Debian: python3-sklearn, python3-pil)."""
import csv
import os
import sys

import numpy
from PIL import Image
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

task, data, folds_file, out = sys.argv[1:5]
peer_file = sys.argv[5] if len(sys.argv) > 5 else None
column = os.environ.get("FOLD_COLUMN", "fold_grouped" if task == "iq" else "fold")


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def thumbnail(path):
    with Image.open(os.path.join(data, path)) as image:
        pixels = numpy.asarray(image.convert("L").resize((32, 32), Image.BILINEAR), dtype=numpy.float32).ravel()
    pixels -= pixels.mean()
    return pixels / (numpy.linalg.norm(pixels) or 1)


def figures(y, p):
    return roc_auc_score(y, p), log_loss(y, p), accuracy_score(y, p >= 0.5)


def interval(y, p, unit, metric, repeats=1000):
    """95 % bootstrap over units (patients, groups)."""
    random = numpy.random.default_rng(1)
    members = [numpy.flatnonzero(unit == name) for name in numpy.unique(unit)]
    values = []
    for _ in range(repeats):
        chosen = numpy.concatenate([members[i] for i in random.integers(0, len(members), len(members))])
        if len(set(y[chosen])) == 2:
            values.append(metric(y[chosen], p[chosen]))
    return numpy.percentile(values, [2.5, 97.5])


def line(name, *cells):
    print("| " + " | ".join([name, *cells]) + " |")


def stacks():
    """Nodules as stacks beside the same nodules as averaged slices."""
    manifest = {row["path"]: row for row in rows(os.path.join(data, "manifest.csv"))}
    done = [k for k in range(5) if os.path.exists(os.path.join(out, f"lidc3d-{k}.csv"))]

    def nodules(folder, name, k):
        found = {}
        for row in rows(os.path.join(folder, f"{name}-{k}.csv")):
            about = manifest[row["path"]]
            found.setdefault((about["patient"], about["nodule"]), []).append(
                (float(row["probability"]), int(row["label"]), float(about["diameter_mm"])))
        return {key: numpy.mean(members, 0) for key, members in found.items()}

    line("fold", "nodules", "stacks: AUC", "log loss", "accuracy", "averaged slices: AUC", "log loss", "accuracy",
         "diameter: AUC", "majority")
    line(*["---"] * 10)
    every, patients = [], []
    for k in done:
        stack, average = nodules(out, "lidc3d", k), nodules(peer_file, "lidc", k)
        assert stack.keys() == average.keys()
        table = numpy.array([[*stack[key], average[key][0]] for key in stack])
        assert all(stack[key][1] == average[key][1] for key in stack)
        every.append(table)
        patients += [key[0] for key in stack]
        show(str(k), table)
    table, unit = numpy.concatenate(every), numpy.array(patients)
    show("all", table)
    y, p, q, diameter = table[:, 1], table[:, 0], table[:, 3], table[:, 2]
    for name, score in (("stacks", p), ("averaged slices", q), ("diameter", diameter), ("mean of both", (p + q) / 2)):
        low, high = interval(y, score, unit, roc_auc_score)
        print(f"{name}: AUC {roc_auc_score(y, score):.3f} [{low:.3f}, {high:.3f}]")
    for name, metric in (("AUC", roc_auc_score), ("log loss", log_loss)):
        low, high = interval(y, numpy.stack([p, q], 1), unit, lambda t, s, m=metric: m(t, s[:, 0]) - m(t, s[:, 1]))
        print(f"{name}, stacks minus averaged slices: {metric(y, p) - metric(y, q):+.3f} [{low:+.3f}, {high:+.3f}] "
              f"(bootstrap over {len(set(unit))} patients)")


def show(name, table):
    y, p, q, diameter = table[:, 1], table[:, 0], table[:, 3], table[:, 2]
    line(name, str(len(y)), *(f"{value:.3f}" for value in [*figures(y, p), *figures(y, q), roc_auc_score(y, diameter),
                                                           max(y.mean(), 1 - y.mean())]))


if task == "lidc3d":
    stacks()
    sys.exit()

fold_of = {row["path"]: int(row[column]) for row in rows(folds_file)}
label_of = {row["path"]: int(row["label"] != "normal" if task == "iq" else row["label"] == "malignant")
            for row in rows(folds_file)}
group_name = "group" if task == "iq" else "patient"
group_of = {row["path"]: row[group_name] for row in rows(folds_file)}
origin_of = {row["path"]: row["label"] for row in rows(folds_file)}
peer = {row["path"]: (int(row["fold"]), float(row["p"])) for row in rows(peer_file)} if peer_file else {}
paths = list(fold_of)
fold = numpy.array([fold_of[path] for path in paths])
label = numpy.array([label_of[path] for path in paths])
done = [k for k in range(5) if os.path.exists(os.path.join(out, f"{task}-{k}.csv"))]
predicted = {}
for k in done:
    for row in rows(os.path.join(out, f"{task}-{k}.csv")):
        assert fold_of[row["path"]] == k and label_of[row["path"]] == int(row["label"]), row["path"]
        predicted[row["path"]] = float(row["probability"])

thumbnails = numpy.stack([thumbnail(path) for path in paths])
line("fold", "cases", "AUC", "log loss", "accuracy", "majority", "thumbnails: accuracy", "peer: AUC", "peer: log loss",
     "peer: accuracy")
line(*["---"] * 10)
each = []
for k in done:
    test = numpy.flatnonzero(fold == k)
    train = numpy.flatnonzero(fold != k)
    y = label[test]
    p = numpy.array([predicted[paths[i]] for i in test])
    nearest = label[train][(thumbnails[test] @ thumbnails[train].T).argmax(1)]
    majority = float(numpy.mean(y == round(label[train].mean())))
    row = [*figures(y, p), majority, accuracy_score(y, nearest)]
    theirs = [peer[paths[i]][1] for i in test if paths[i] in peer]
    row += list(figures(y, numpy.array(theirs))) if len(theirs) == len(test) else [numpy.nan] * 3
    each.append(row)
    line(str(k), str(len(test)), *(f"{value:.3f}" if value == value else "–" for value in row))
mean, spread = numpy.nanmean(each, 0), numpy.nanstd(each, 0, ddof=1) if len(each) > 1 else numpy.zeros(8)
line("mean ± sd", "", *(f"{m:.3f} ± {s:.3f}" if m == m else "–" for m, s in zip(mean, spread)))

test = [path for path in paths if path in predicted]
y = numpy.array([label_of[path] for path in test])
p = numpy.array([predicted[path] for path in test])
unit = numpy.array([group_of[path] for path in test])
low, high = interval(y, p, unit, roc_auc_score)
print(f"\nAll {len(test)} cases of folds {done}: AUC {roc_auc_score(y, p):.3f} [{low:.3f}, {high:.3f}] (bootstrap over "
      f"{len(set(unit))} {group_name}s), log loss {log_loss(y, p):.3f}.")
both = [i for i, path in enumerate(test) if path in peer]
if both:
    q = numpy.array([peer[test[i]][1] for i in both])
    pair = numpy.stack([p[both], q], 1)
    low, high = interval(y[both], pair, unit[both],
                         lambda t, s: roc_auc_score(t, s[:, 0]) - roc_auc_score(t, s[:, 1]))
    print(f"Paired with the peer on {len(both)} cases: AUC {roc_auc_score(y[both], p[both]):.3f} against "
          f"{roc_auc_score(y[both], q):.3f}, difference [{low:+.3f}, {high:+.3f}].")
if task == "iq":
    for origin in ("benign", "malignant"):
        chosen = [i for i, path in enumerate(test) if origin_of[path] in ("normal", origin)]
        print(f"{origin} against normal: AUC {roc_auc_score(y[chosen], p[chosen]):.3f}")
else:
    manifest = {row["path"]: row for row in rows(os.path.join(data, "manifest.csv"))}
    nodules = {}
    for i, path in enumerate(test):
        row = manifest[path]
        nodules.setdefault((row["patient"], row["nodule"]), []).append((p[i], y[i], float(row["diameter_mm"])))
    truth = numpy.array([members[0][1] for members in nodules.values()])
    score = numpy.array([numpy.mean([member[0] for member in members]) for members in nodules.values()])
    diameter = numpy.array([members[0][2] for members in nodules.values()])
    slices = numpy.array([len(members) for members in nodules.values()])
    patient = numpy.array([name[0] for name in nodules])
    low, high = interval(truth, score, patient, roc_auc_score)
    print(f"{len(truth)} nodules, mean of slices: AUC {roc_auc_score(truth, score):.3f} [{low:.3f}, {high:.3f}], log loss "
          f"{log_loss(truth, score):.3f}, accuracy {accuracy_score(truth, score >= 0.5):.3f} (majority "
          f"{max(truth.mean(), 1 - truth.mean()):.3f})")
    print(f"diameter alone: AUC {roc_auc_score(truth, diameter):.3f}; number of slices alone: "
          f"{roc_auc_score(truth, slices):.3f}")
