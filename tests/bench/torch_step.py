#!/usr/bin/python3
"""One network in PyTorch, timed as `hilum bench` times it; run by tools/bench-peers:
  torch_step.py S|R|V train|infer fp32|bf16 VARIANT BATCH THREADS REPEATS SECONDS
VARIANT: eager, or for inference frozen (through optimize_for_inference; bf16: all of it converted before) or, for bf16,
autocast; with "-cl" behind it in the channels-last layout. Passes are repeated until REPEATS and SECONDS are both
reached. Prints one JSON object: milliseconds, and processor time all threads together."""
import json
import sys
import time

import numpy
import torch

from nets import NETS


def training_step(net, images, bf16):
    labels = (torch.arange(len(images)) % 2).float().reshape(-1, 1)
    optimizer, loss_of = torch.optim.Adam(net.parameters(), 1e-4), torch.nn.BCEWithLogitsLoss()

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
            logits = net(images)
        loss_of(logits.float(), labels).backward()
        optimizer.step()
    return step


def forward_pass(net, images, bf16, kind):
    net.eval()
    if bf16 and kind != "autocast":
        net, images = net.bfloat16(), images.bfloat16()
    if kind == "frozen":
        net = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.script(net)))

    def step():
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "autocast"):
            net(images)
    return step


def main(name, mode, precision, variant, batch, threads, repeats, seconds):
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    make, shape = NETS[name]
    net, images = make(), torch.randn(batch, *shape)
    kind, _, layout = variant.partition("-")
    if layout == "cl":
        layout = torch.channels_last if len(shape) == 3 else torch.channels_last_3d
        net, images = net.to(memory_format=layout), images.contiguous(memory_format=layout)
    bf16 = precision == "bf16"
    step = training_step(net, images, bf16) if mode == "train" else forward_pass(net, images, bf16, kind)
    wall, processor = [], []
    for _ in range(2 if mode == "train" else 5):
        step()
    began = time.perf_counter()
    while len(wall) < repeats or time.perf_counter() - began < seconds:
        start, spent = time.perf_counter(), time.process_time()
        step()
        wall.append((time.perf_counter() - start) * 1e3)
        processor.append((time.process_time() - spent) * 1e3)
    print(json.dumps({"median_ms": numpy.median(wall), "min_ms": min(wall), "max_ms": max(wall),
                      "cpu_ms": numpy.median(processor), "repeats": len(wall), "version": torch.__version__}))


main(*sys.argv[1:5], *map(int, sys.argv[5:8]), float(sys.argv[8]))
