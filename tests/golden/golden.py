#!/usr/bin/python3
"""Writes S.json, R.json and V.json: what PyTorch computes for three nets at small size. Needs python3-torch.

Weights, images and labels are no data but a formula (fill), which test_golden.c evaluates too, so that the files hold
results only: logits, gradients (of each parameter its norm, its product with another fill, its first values) and the
losses of ten training steps (SGD with momentum, no dropout)."""
import json
import os

import numpy
import torch
from torch import nn


def fill(key, count):
    """Numbers in [-1, 1): a hash of (key, index)."""
    x = (numpy.arange(count, dtype=numpy.uint64) + key * 0x9E3779B9) & 0xFFFFFFFF
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
        x = ((x ^ (x >> numpy.uint64(shift))) * numpy.uint64(factor)) & numpy.uint64(0xFFFFFFFF)
    return (x.astype(numpy.float64) / 2147483648.0 - 1.0).astype(numpy.float32)


class Seed(nn.Module):
    def __init__(self, dims, channels, size, filters=(32, 64, 128, 128)):
        super().__init__()
        conv, norm, pool = {2: (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d), 3: (nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)}[dims]
        layers = []
        for count in filters:
            layers += [conv(channels, count, 3, padding=1), norm(count), nn.ReLU(), pool(2)]
            channels, size = count, size // 2
        self.features = nn.Sequential(*layers)
        self.hidden = nn.Linear(channels * size ** dims, 128)
        self.head = nn.Linear(128, 1)

    def forward(self, x):
        return self.head(torch.relu(self.hidden(self.features(x).flatten(1))))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        return torch.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks, inputs = [], 64
        for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
            blocks += [Block(inputs, outputs, stride), Block(outputs, outputs, 1)]
            inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(512, 1)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.head(x.mean((2, 3)))


def set_parameters(net):
    for key, parameter in enumerate(net.parameters()):
        values = torch.from_numpy(fill(key + 1, parameter.numel())).reshape(parameter.shape)
        with torch.no_grad():
            if parameter.dim() > 1:
                parameter.copy_(values * numpy.float32((6.0 / parameter[0].numel()) ** 0.5))
            else:
                parameter.copy_(values * numpy.float32(0.1))
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            with torch.no_grad():
                module.weight.add_(1.0)


def golden(name, net, shape, batch, arch, lr, steps=10, momentum=0.9):
    torch.manual_seed(0)
    set_parameters(net)
    images = torch.from_numpy(fill(1000, batch * int(numpy.prod(shape)))).reshape(batch, *shape)
    labels = (torch.arange(batch) % 2).float().reshape(batch, 1)
    images = images * (1.0 + 0.5 * labels.reshape(batch, *[1] * len(shape)))
    loss_of = nn.BCEWithLogitsLoss()
    net.eval()
    with torch.no_grad():
        inference = net(images).flatten().tolist()
    net.train()
    logits = net(images)
    loss = loss_of(logits, labels)
    loss.backward()
    gradients = []
    for key, parameter in enumerate(net.parameters()):
        gradient = parameter.grad.flatten().double().numpy()
        gradients.append({"shape": list(parameter.shape), "norm": float(numpy.linalg.norm(gradient)),
                          "product": float(gradient @ fill(key + 2000, gradient.size).astype(numpy.float64)),
                          "first": gradient[:4].tolist()})
    # The running statistics have moved once; the ten losses start from there.
    optimizer = torch.optim.SGD(net.parameters(), lr, momentum)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(net(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        after = net(images).flatten().tolist()
    result = {"arch": arch, "shape": list(shape), "batch": batch, "lr": lr, "momentum": momentum, "inference": inference,
              "logits": logits.flatten().tolist(), "gradients": gradients, "losses": losses, "after": after}
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name + ".json"), "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    print(name, "losses", " ".join(f"{value:.5f}" for value in losses))


if __name__ == "__main__":
    torch.set_num_threads(1)
    golden("S", Seed(2, 3, 32), (3, 32, 32), 4, "seed dropout=0", 0.0004)
    golden("R", ResNet18(), (3, 64, 64), 4, "resnet18", 0.0001)
    golden("V", Seed(3, 1, 16), (1, 16, 16, 16), 4, "seed dropout=0", 0.0004)
