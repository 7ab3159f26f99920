"""A network's pass over one tile of pixels, in one kernel.

The tile is taken in panels of `PANEL` pixels, whose arrays stay in the processor's cache. A layer's
units are computed a few at a time for the whole panel (`aktes_xr.models.product`), and their
activation follows at once (`aktes_xr.models.activation`). Every panel has the same width, the last
one being padded with whatever was there: a pixel's result does not depend on its place in a tile or
a chunk, bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from aktes_xr.compilation import kernel
from aktes_xr.models.activation import ACTIVATIONS, add, finish
from aktes_xr.models.product import LANES, UNITS, accumulate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from aktes_xr.compilation import Float32Array
    from aktes_xr.models.network import Layer


PANEL: Final = 4 * LANES
"""Pixels per panel: 256 units of 64 float32 fill 64 kilobytes."""
TILE: Final = 64 * PANEL
"""Pixels per call, so that the interpreter's share is small."""

_INPUTS: Final = 0
_OUTPUTS: Final = 1
_ACTIVATION: Final = 2
_SKIP: Final = 3
_WEIGHT: Final = 4
_BIAS: Final = 5
_BYTES: Final = 4


class Packed(NamedTuple):
    """A network as the kernel takes it.

    ``weight`` and ``bias`` hold all layers, one behind the other; a layer's units are filled up
    with zeros to a multiple of `UNITS`. A row of ``layers`` (layer, 6) int64 is a layer's inputs,
    its units, its activation, whether its input is added, and where its weights and biases begin.
    """

    weight: Float32Array
    bias: Float32Array
    layers: NDArray[np.int64]


def pack(layers: Sequence[Layer]) -> Packed:
    """Arrange a network's layers for the kernel."""
    weights: list[Float32Array] = []
    biases: list[Float32Array] = []
    rows = []
    weight_place = bias_place = 0
    for layer in layers:
        units, inputs = layer.weight.shape
        missing = padded(units) - units
        weights.append(np.pad(layer.weight, ((0, missing), (0, 0))).ravel())
        biases.append(np.pad(layer.bias[:, 0], (0, missing)))
        code = ACTIVATIONS.index(layer.activation)
        rows.append((inputs, units, code, layer.skip, weight_place, bias_place))
        weight_place += weights[-1].size
        bias_place += biases[-1].size
    return Packed(
        np.concatenate(weights),
        np.concatenate(biases),
        np.array(rows, np.int64),
    )


def padded(units: int) -> int:
    """Return the next multiple of `UNITS`."""
    return -(-units // UNITS) * UNITS


@kernel()
def forward(packed, tile, count, panels, outputs):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Pass the first ``count`` pixels of a tile through a network.

    Parameters
    ----------
    packed : Packed
    tile : ndarray (feature, TILE), float32
    count : int
        Panels behind it are not run.
    panels : ndarray (2, unit, PANEL), float32
        Scratch for as many units as the widest layer has, and as many as there are features.
    outputs : ndarray (output, TILE), float32
    """
    weight, biases = packed.weight.ctypes.data, packed.bias.ctypes.data
    flat = panels.reshape(2, panels.shape[1] * PANEL)
    for first in range(0, count, PANEL):
        panel = panels[0]
        for feature in range(tile.shape[0]):
            for place in range(PANEL):
                panel[feature, place] = tile[feature, first + place]
        for number in range(packed.layers.shape[0]):
            layer = packed.layers[number]
            source, target = flat[number % 2], flat[(number + 1) % 2]
            inputs, units = layer[_INPUTS], layer[_OUTPUTS]
            x, out = source.ctypes.data, target.ctypes.data
            for unit in range(0, units, UNITS):
                bias = biases + _BYTES * (layer[_BIAS] + unit)
                row = weight + _BYTES * (layer[_WEIGHT] + unit * inputs)
                for place in range(0, PANEL, LANES):
                    sums = out + _BYTES * (unit * PANEL + place)
                    accumulate(row, bias, x + _BYTES * place, sums, inputs, PANEL)
                done = slice(unit * PANEL, (unit + UNITS) * PANEL)
                finish(target[done], layer[_ACTIVATION])
                if layer[_SKIP]:
                    add(target[done], source[done])
        panel = panels[packed.layers.shape[0] % 2]
        for output in range(outputs.shape[0]):
            for place in range(PANEL):
                outputs[output, first + place] = panel[output, place]


def scratch(packed: Packed, features: int) -> Float32Array:
    """Allocate the panels of a network; not to be shared between threads."""
    widest = max(padded(int(packed.layers[:, _OUTPUTS].max())), features)
    return np.zeros((2, widest, PANEL), np.float32)
