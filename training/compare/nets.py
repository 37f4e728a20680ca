"""The two nets on log-mel spectrograms, of a size that a few minutes on one core can train."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from training.corpora import LABELS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.compare.features import Rows

_CHANNELS = (16, 32, 64, 128)
_STACKED = 2
_HIDDEN = 128
_DROPOUT = 0.3
_SHORTEST_FRAMES = 2 ** len(_CHANNELS)


class _MelNet(nn.Module):
    """Standardises every band with the moments of what it is trained on.

    Args:
        mean: of each band, shape ``(bands,)``.
        deviation: likewise.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)

    def _standardised(self, mels: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        standardised = (mels - self.mean) / self.deviation
        return standardised * _inside(lengths, mels.shape[1])[:, :, None]


class MelCnn(_MelNet):
    """Four blocks of convolution, batch normalisation and pooling; then mean and deviation over time."""

    def __init__(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Take the moments of the bands, shape ``(bands,)`` each, of which there must be a multiple of 16."""
        super().__init__(mean, deviation)
        pairs = zip((1, *_CHANNELS), _CHANNELS, strict=False)
        self.blocks = nn.ModuleList(_block(inputs, outputs) for inputs, outputs in pairs)
        width = 2 * _CHANNELS[-1] * (len(mean) // _SHORTEST_FRAMES)
        self.out = nn.Sequential(nn.Dropout(_DROPOUT), nn.Linear(width, len(LABELS)))

    def forward(self, mels: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Classify spectrograms; what lies behind their ends is not heard.

        Args:
            mels: in dB, float32, shape ``(batch, frames, bands)``.
            lengths: in frames, int64, shape ``(batch,)``.

        Returns:
            Logits, shape ``(batch, labels)``.
        """
        states = self._standardised(mels, lengths)[:, None]
        for block in self.blocks:
            states = block(states * _inside(lengths, states.shape[2])[:, None, :, None])
            lengths = lengths // 2
        logits: torch.Tensor = self.out(_moments(states.transpose(1, 2).flatten(2), lengths))
        return logits


class MelLstm(_MelNet):
    """Two bidirectional layers over pairs of frames; then mean and deviation over time."""

    def __init__(self, mean: torch.Tensor, deviation: torch.Tensor) -> None:
        """Take the moments of the bands, shape ``(bands,)`` each."""
        super().__init__(mean, deviation)
        widths = (_STACKED * len(mean), 2 * _HIDDEN)
        self.forwards = nn.ModuleList(nn.LSTM(width, _HIDDEN, batch_first=True) for width in widths)
        self.backwards = nn.ModuleList(nn.LSTM(width, _HIDDEN, batch_first=True) for width in widths)
        self.dropout = nn.Dropout(_DROPOUT)
        self.out = nn.Linear(4 * _HIDDEN, len(LABELS))

    def forward(self, mels: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Classify spectrograms, as ``MelCnn`` does."""
        batch, frames, bands = mels.shape
        pairs = self._standardised(mels, lengths)[:, : frames // _STACKED * _STACKED]
        states = pairs.reshape(batch, frames // _STACKED, _STACKED * bands)
        lengths = lengths // _STACKED
        for forwards, backwards in zip(self.forwards, self.backwards, strict=True):
            # Torch's own bidirectional layer hears the padding, unless packed, which takes thrice the time.
            ahead, back = forwards(states)[0], backwards(_reversed(states, lengths))[0]
            states = self.dropout(torch.cat([ahead, _reversed(back, lengths)], dim=-1))
        logits: torch.Tensor = self.out(_moments(states, lengths))
        return logits


def padded(spectrograms: Sequence[Rows]) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a batch of spectrograms.

    Args:
        spectrograms: shape ``(frames_i, bands)`` each.

    Returns:
        float32, shape ``(batch, frames, bands)``, at least 16 frames long, and the lengths, int64.
    """
    lengths = [len(rows) for rows in spectrograms]
    batch = np.zeros((len(lengths), max(_SHORTEST_FRAMES, *lengths), spectrograms[0].shape[1]), dtype=np.float32)
    for row, spectrogram in enumerate(spectrograms):
        batch[row, : len(spectrogram)] = spectrogram
    return torch.from_numpy(batch), torch.tensor(lengths)


def _block(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2))


def _inside(lengths: torch.Tensor, frames: int) -> torch.Tensor:
    """1 where a frame belongs to its clip, else 0: shape ``(batch, frames)``."""
    return (torch.arange(frames) < lengths[:, None]).float()


def _reversed(states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Each clip from its end to its start; what lies behind its end stays there."""
    steps = torch.arange(states.shape[1])
    order = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return states.gather(1, order[:, :, None].expand_as(states))


def _moments(states: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Mean and deviation over time of states of shape ``(batch, frames, width)``: ``(batch, 2 * width)``."""
    lengths = lengths.clamp(min=1)
    inside, count = _inside(lengths, states.shape[1])[:, :, None], lengths[:, None]
    mean = (states * inside).sum(dim=1) / count
    variance = ((states - mean[:, None]).square() * inside).sum(dim=1) / count
    return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)
