#!/usr/bin/python3
"""The same step as train_step.c in PyTorch:  torch_step.py S|R BATCH fp32|fp32cl|bf16cl THREADS [REPEATS]
cl: channels last. Prints median, least and most wall milliseconds, and the median milliseconds of processor time."""
import os
import sys
import time

import numpy
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
from golden import ResNet18, Seed  # noqa: E402

name, batch, mode, threads = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
repeats = int(sys.argv[5]) if len(sys.argv) > 5 else 5
torch.set_num_threads(threads)
net, shape = (Seed(2, 3, 256), (3, 256, 256)) if name == "S" else (ResNet18(), (3, 224, 224))
images, labels = torch.randn(batch, *shape), (torch.arange(batch) % 2).float().reshape(batch, 1)
if mode.endswith("cl"):
    net, images = net.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
optimizer, loss_of = torch.optim.Adam(net.parameters(), 1e-4), torch.nn.BCEWithLogitsLoss()
wall, processor = [], []
for i in range(-2, repeats):
    began, spent = time.perf_counter(), time.process_time()
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode.startswith("bf16")):
        logits = net(images)
    loss_of(logits.float(), labels).backward()
    optimizer.step()
    if i >= 0:
        wall.append((time.perf_counter() - began) * 1e3)
        processor.append((time.process_time() - spent) * 1e3)
print(f"{numpy.median(wall):.1f} {min(wall):.1f} {max(wall):.1f} {numpy.median(processor):.1f}")
