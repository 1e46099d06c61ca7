#!/usr/bin/python3
"""Writes S.onnx, R.onnx and V.onnx, the networks of docs/speed.md as PyTorch exports them, and S-int8.onnx, R-int8.onnx and
V-int8.onnx, the same in 8-bit integers, into a folder; run by tools/bench-peers:  export_onnx.py FOLDER
The int8 ones are for timing only: their weights are random. Activations are unsigned, weights signed and scaled by
channel, batch norm is folded, and ReLU is the clipping at zero that unsigned values bring. Needs python3-torch and
python3-onnx."""
import os
import sys

import numpy
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from nets import NETS


class Int8:
    """A graph of quantised operators, written from its input on. Each method appends one and gives its output's name."""

    def __init__(self, dims):
        self.dims, self.nodes, self.constants, self.random = dims, [], [], numpy.random.default_rng(0)
        self.scale, self.zero = self.constant(numpy.float32(0.02)), self.constant(numpy.uint8(0))
        self.quantisation = [self.scale, self.zero]
        self.x = self.add("QuantizeLinear", ["input", *self.quantisation])

    def constant(self, value):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(numpy.asarray(value), name))
        return name

    def add(self, op, inputs, domain="", **attributes):
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, domain=domain, **attributes))
        return name

    def weights(self, *shape, channels):
        values = self.random.integers(-60, 60, shape).astype(numpy.int8)
        scales, zeros = numpy.full(channels, 0.01, numpy.float32), numpy.zeros(channels, numpy.int8)
        return [self.constant(values), self.constant(scales), self.constant(zeros)]

    def window(self, size, stride, pad):
        return {"kernel_shape": [size] * self.dims, "strides": [stride] * self.dims, "pads": [pad] * 2 * self.dims}

    def conv(self, x, inputs, outputs, size, stride, pad):
        weights = self.weights(outputs, inputs, *[size] * self.dims, channels=outputs)
        bias = self.constant(numpy.zeros(outputs, numpy.int32))
        return self.add("QLinearConv", [x, *self.quantisation, *weights, *self.quantisation, bias],
                        **self.window(size, stride, pad))

    def pool(self, x, size, stride, pad):
        return self.add("MaxPool", [x], **self.window(size, stride, pad))

    def dense(self, x, inputs, outputs):
        weights = self.weights(inputs, outputs, channels=outputs)
        return self.add("QLinearMatMul", [x, *self.quantisation, *weights, *self.quantisation])

    def head(self, x, inputs):
        x = self.add("DequantizeLinear", [x, *self.quantisation])
        return self.add("MatMul", [x, self.constant(numpy.ones((inputs, 1), numpy.float32))])

    def write(self, path, x, shape):
        value = helper.make_tensor_value_info
        graph = helper.make_graph([*self.nodes, helper.make_node("Identity", [x], ["logit"])], "net",
                                  [value("input", TensorProto.FLOAT, ["n", *shape])],
                                  [value("logit", TensorProto.FLOAT, ["n", 1])], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)])
        model.ir_version = 8
        onnx.save(model, path)


def seed_int8(path, shape):
    net, channels = Int8(len(shape) - 1), shape[0]
    x = net.x
    for filters in (32, 64, 128, 128):
        x, channels = net.pool(net.conv(x, channels, filters, 3, 1, 1), 2, 2, 0), filters
    inputs = channels * (shape[-1] // 16) ** net.dims
    x = net.dense(net.add("Flatten", [x]), inputs, 128)
    net.write(path, net.head(x, 128), shape)


def resnet_int8(path, shape):
    net, channels = Int8(2), 64
    x = net.pool(net.conv(net.x, 3, 64, 7, 2, 3), 3, 2, 1)
    for filters in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if block == 0 and filters > 64 else 1
            y = net.conv(net.conv(x, channels, filters, 3, stride, 1), filters, filters, 3, 1, 1)
            if stride > 1:
                x = net.conv(x, channels, filters, 1, stride, 0)
            x = net.add("QLinearAdd", [y, *net.quantisation, x, *net.quantisation, *net.quantisation], "com.microsoft")
            channels = filters
    x = net.add("QLinearGlobalAveragePool", [x, *net.quantisation, *net.quantisation], "com.microsoft", channels_last=0)
    net.write(path, net.head(net.add("Flatten", [x]), 512), shape)


folder = sys.argv[1]
for name, (make, shape) in NETS.items():
    torch.manual_seed(0)
    torch.onnx.export(make().eval(), torch.zeros(1, *shape), os.path.join(folder, name + ".onnx"), opset_version=13,
                      input_names=["input"], output_names=["logit"], dynamic_axes={"input": {0: "n"}, "logit": {0: "n"}})
    (resnet_int8 if name == "R" else seed_int8)(os.path.join(folder, name + "-int8.onnx"), shape)
