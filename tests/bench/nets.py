"""The networks of docs/speed.md in PyTorch, from the golden tests' classes: name -> (what makes it, shape of an image)."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
from golden import ResNet18, Seed  # noqa: E402

NETS = {"S": (lambda: Seed(2, 3, 256), (3, 256, 256)),
        "R": (ResNet18, (3, 224, 224)),
        "V": (lambda: Seed(3, 1, 64), (1, 64, 64, 64))}
