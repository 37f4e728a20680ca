"""States of the frozen lower part of the encoder, computed once for each look at a clip and kept on disk."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch.nn import functional

from training.sound import collate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from transformers import Wav2Vec2Model

    from training.cache import Floats

Item = TypeVar("Item")
Halves: TypeAlias = NDArray[np.float16]

_BATCH = 8
_SORTED_TOGETHER = 64


class States:
    """Reads what ``write_states`` wrote.

    Args:
        path: of the file of states; its index lies beside it.

    Raises:
        FileNotFoundError: it was not written, or not to its end.
    """

    def __init__(self, path: Path) -> None:
        index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        self._places: dict[str, tuple[int, int]] = {name: (start, end) for name, start, end in index["places"]}
        self._states: Halves = np.memmap(path, np.float16, "r").reshape(-1, index["hidden"])

    def __getitem__(self, name: str) -> Floats:
        """Give one recording's states: float32, shape ``(frames, hidden)``."""
        start, end = self._places[name]
        return self._states[start:end].astype(np.float32)


def write_states(
    path: Path, lower: Callable[[Sequence[Floats]], list[Halves]], sounds: Iterable[tuple[str, Floats]], total: int
) -> None:
    """Compute and keep states.

    Args:
        path: of the file; a list of names and places is put beside it when all is done.
        lower: gives sounds' states; see ``LowerPart``.
        sounds: names, and sounds as float32 of shape ``(n,)``.
        total: how many there are.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    places: list[tuple[str, int, int]] = []
    frame, hidden = 0, 0
    with path.open("wb") as file:
        for some in batched(track(sounds, path.stem, total), _SORTED_TOGETHER):
            for name, states in zip(
                (name for name, _ in some), _in_batches(lower, [s for _, s in some]), strict=True
            ):
                states.tofile(file)
                places.append((name, frame, frame + len(states)))
                frame, hidden = frame + len(states), states.shape[1]
    path.with_suffix(".json").write_text(json.dumps({"hidden": hidden, "places": places}), encoding="utf-8")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Give so many items at a time; the last time maybe fewer."""
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some


def _in_batches(lower: Callable[[Sequence[Floats]], list[Halves]], sounds: Sequence[Floats]) -> list[Halves]:
    """Compute states of sounds of like length together, in the order of the sounds."""
    order = sorted(range(len(sounds)), key=lambda index: len(sounds[index]))
    states: dict[int, Halves] = {}
    for chosen in batched(order, _BATCH):
        states.update(zip(chosen, lower([sounds[index] for index in chosen]), strict=True))
    return [states[index] for index in range(len(sounds))]


class LowerPart:
    """The encoder up to and with so many of its transformer layers, in inference.

    Args:
        model: the encoder.
        layers: how many of its layers.
    """

    def __init__(self, model: Wav2Vec2Model, layers: int) -> None:
        self._model = model.eval()
        self._layers = layers
        convolution: Any = model.encoder.pos_conv_embed.conv
        self._taps: torch.Tensor = convolution.weight.detach()[:, 0].flip(-1)
        self._bias: torch.Tensor = convolution.bias.detach()[:, None]
        self._spectra: dict[int, torch.Tensor] = {}

    @torch.inference_mode()
    def __call__(self, sounds: Sequence[Floats]) -> list[Halves]:
        """Give each sound's states, float16, shape ``(frames, hidden)``, at 50 frames a second."""
        values, mask = collate(sounds)
        features = self._model.feature_extractor(values).transpose(1, 2)
        kept = self._model._get_feature_vector_attention_mask(  # noqa: SLF001 - as its own forward pass does
            features.shape[1], cast("torch.LongTensor", mask)
        ).bool()
        states = self._model.feature_projection(features)[0] * kept[..., None]
        states = states + self._positions(states)
        additive = additive_mask(kept)
        for layer in self._model.encoder.layers[: self._layers]:
            states = layer_states(layer, states, additive)
        lengths = kept.sum(dim=1).tolist()
        return [row[:length].half().numpy() for row, length in zip(states, lengths, strict=True)]

    def _positions(self, states: torch.Tensor) -> torch.Tensor:
        """What the positional convolution gives: by Fourier transform, thrice as fast, as it is 768 taps wide."""
        frames, taps = states.shape[1], self._taps.shape[1]
        size = 1 << (frames + taps - 2).bit_length()
        if size not in self._spectra:
            self._spectra[size] = torch.fft.rfft(self._taps, size)
        spectrum = torch.fft.rfft(states.transpose(1, 2), size) * self._spectra[size]
        first = taps - 1 - taps // 2
        convolved = torch.fft.irfft(spectrum, size)[..., first : first + frames]
        return functional.gelu(convolved + self._bias).transpose(1, 2)


def additive_mask(kept: torch.Tensor) -> torch.Tensor:
    """Make an attention mask that is added to scores: shape ``(batch, frames)`` to ``(batch, 1, 1, frames)``."""
    return torch.zeros(kept.shape).masked_fill(~kept, torch.finfo(torch.float32).min)[:, None, None]


def layer_states(layer: torch.nn.Module, states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Give a transformer layer's output alone; versions of the library differ in what comes with it."""
    given = layer(states, attention_mask=mask)
    result: torch.Tensor = given[0] if isinstance(given, tuple) else given
    return result
