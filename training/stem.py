"""What the front end is to give: Whisper's log-mel bands behind its two convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import safetensors.torch
import torch
from torch.nn import functional
from transformers import WhisperFeatureExtractor

if TYPE_CHECKING:
    from pathlib import Path

LEAD_FRAMES = 2
"""The front end's frame t is Whisper's frame t + 2."""

OFFSET = 16.0
"""The front end gives this much less: the constant that the positional convolution tells the time by."""

_FFT_SAMPLES, _HOP_SAMPLES = 400, 160
_DYNAMIC_RANGE = 8.0
_LEVEL = 0.042
"""Of the root mean square of what Whisper hears, against full scale: the front end hears normalised sound."""


class WhisperStem:
    """Whisper's own input stage, in batches.

    Args:
        folder: of its encoder, with ``model.safetensors``.
    """

    def __init__(self, folder: Path) -> None:
        weights = safetensors.torch.load_file(folder / "model.safetensors")
        self._convolutions = [
            (weights[f"conv{index}.weight"].float(), weights[f"conv{index}.bias"].float(), stride)
            for index, stride in ((1, 1), (2, 2))
        ]
        self._bands = torch.from_numpy(WhisperFeatureExtractor(feature_size=80).mel_filters).float().T
        self._window = torch.hann_window(_FFT_SAMPLES)

    @torch.no_grad()
    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """Give what Whisper's first transformer layer would be given, but for the positions.

        Args:
            values: sound of mean 0 and deviation 1 at 16 kHz, float32, shape ``(batch, samples)``.

        Returns:
            float32, shape ``(batch, samples // 320, 384)``.
        """
        spectrum = torch.stft(
            values * _LEVEL, _FFT_SAMPLES, _HOP_SAMPLES, window=self._window, return_complex=True
        )[..., :-1]
        mel = (self._bands @ spectrum.abs().square()).clamp(min=1e-10).log10()
        states = (torch.maximum(mel, mel.amax((1, 2), keepdim=True) - _DYNAMIC_RANGE) + 4.0) / 4.0
        for weight, bias, stride in self._convolutions:
            states = functional.gelu(functional.conv1d(states, weight, bias, stride=stride, padding=1))
        return states.transpose(1, 2)
