#!/usr/bin/python3
"""PyTorch on the same folds with the same net, budget and recipe as tools/results/run iq, so that seeds can be compared.

  peer.py DATA FOLDS.csv OUT.csv SEED [FOLD...]     writes path,label,group,fold,p of the folds' test cases

Net S, one grey channel, 256 (shorter side, centre crop), 12 epochs, Adam 5e-4, batch 8, cosine by step, bfloat16 autocast as
hilum's --precision bf16, the last epoch's model (Debian: python3-torch, python3-pil)."""
import csv
import math
import os
import sys

import numpy
import torch
from PIL import Image

SIZE, EPOCHS, BATCH, LR = 256, 12, 8, 5e-4
data, folds_file, out, seed = sys.argv[1:4] + [int(sys.argv[4])]
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def picture(path):
    with Image.open(os.path.join(data, path)) as image:
        image = image.convert("L")
        short = min(image.size)
        image = image.resize([round(side * SIZE / short) for side in image.size], Image.BILINEAR)
        left, top = (image.size[0] - SIZE) // 2, (image.size[1] - SIZE) // 2
        return numpy.asarray(image.crop((left, top, left + SIZE, top + SIZE)), dtype=numpy.float32) / 255


def net():
    layers, channels = [], 1
    for filters in (32, 64, 128, 128):
        layers += [torch.nn.Conv2d(channels, filters, 3, padding=1), torch.nn.BatchNorm2d(filters), torch.nn.ReLU(),
                   torch.nn.MaxPool2d(2)]
        channels = filters
    layers += [torch.nn.Flatten(), torch.nn.Linear(channels * (SIZE // 16) ** 2, 128), torch.nn.ReLU(),
               torch.nn.Dropout(0.5), torch.nn.Linear(128, 1)]
    return torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)


def run(model, x):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return model(x.to(memory_format=torch.channels_last))[:, 0].float()


with open(folds_file, newline="") as file:
    cases = list(csv.DictReader(file))
pictures = torch.from_numpy(numpy.stack([picture(case["path"]) for case in cases]))[:, None]
labels = torch.tensor([float(case["label"] != "normal") for case in cases])
folds = numpy.array([int(case["fold_grouped"]) for case in cases])
with open(out, "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["path", "label", "group", "fold", "p"])
    for fold in map(int, sys.argv[5:] or "01234"):
        torch.manual_seed(seed)
        train, test = numpy.flatnonzero(folds != fold), numpy.flatnonzero(folds == fold)
        mean, deviation = pictures[train].mean(), pictures[train].std()
        model = net().train()
        optimizer = torch.optim.Adam(model.parameters(), LR)
        steps = EPOCHS * (len(train) // BATCH)
        step = 0
        for _ in range(EPOCHS):
            order = torch.from_numpy(train)[torch.randperm(len(train))]
            for k in range(len(train) // BATCH):
                chosen = order[k * BATCH:(k + 1) * BATCH]
                for group in optimizer.param_groups:
                    group["lr"] = LR * (1 + math.cos(math.pi * step / steps)) / 2
                optimizer.zero_grad(set_to_none=True)
                logits = run(model, (pictures[chosen] - mean) / deviation)
                loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[chosen])
                loss.backward()
                optimizer.step()
                step += 1
        model.eval()
        with torch.no_grad():
            logits = torch.cat([run(model, (pictures[test[i:i + 32]] - mean) / deviation)
                                for i in range(0, len(test), 32)])
        for i, p in zip(test, torch.sigmoid(logits).tolist()):
            table.writerow([cases[i]["path"], cases[i]["label"], cases[i]["group"], fold, repr(p)])
        file.flush()
        wrong = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels[test]).item()
        right = ((logits > 0) == (labels[test] > 0.5)).float().mean().item()
        print(f"seed {seed} fold {fold}: last training loss {loss.item():.3f}, log loss {wrong:.3f}, accuracy {right:.3f}",
              flush=True)
