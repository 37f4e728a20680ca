"""What Whisper's encoder, frozen, makes of a clip: the teachers stand on it, and our layers learn from it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import safetensors.torch
import torch
from torch.nn import functional

from training.sound import collate
from training.stem import WhisperStem

if TYPE_CHECKING:
    from pathlib import Path

    from training.cache import Floats


class WhisperStates:
    """The states of all layers of a Whisper encoder, by plain multiplications: all versions agree on these.

    Its own class takes exactly 30 seconds of sound, ten times what a clip has.

    Args:
        folder: of the encoder, with ``model.safetensors`` and ``config.json``.
    """

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._layers = int(config["encoder_layers"])
        self._heads = int(config["encoder_attention_heads"])
        weights = safetensors.torch.load_file(folder / "model.safetensors")
        self._weights = {name: value.float() for name, value in weights.items()}
        self._stem = WhisperStem(folder)

    @torch.no_grad()
    def __call__(self, values: torch.Tensor) -> list[torch.Tensor]:
        """Give what goes into the first layer and what comes out of each, the last one's normalised.

        Args:
            values: sound of mean 0 and deviation 1 at 16 kHz, float32, shape ``(batch, samples)``, at most 30 s.

        Returns:
            ``layers + 1`` states, float32, shape ``(batch, samples // 320, hidden)``.
        """
        states = self._stem(values)
        states = states + self._weights["embed_positions.weight"][: states.shape[1]]
        found = [states]
        for number in range(self._layers):
            states = self._layer(f"layers.{number}.", states)
            found.append(states)
        found[-1] = self._norm("layer_norm", states)
        return found

    def _layer(self, name: str, states: torch.Tensor) -> torch.Tensor:
        normed = self._norm(f"{name}self_attn_layer_norm", states)
        query, key, value = (
            self._linear(f"{name}self_attn.{part}_proj", normed)
            .reshape(*normed.shape[:2], self._heads, -1)
            .transpose(1, 2)
            for part in "qkv"
        )
        heard = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        states = states + self._linear(f"{name}self_attn.out_proj", heard)
        normed = self._norm(f"{name}final_layer_norm", states)
        return states + self._linear(f"{name}fc2", functional.gelu(self._linear(f"{name}fc1", normed)))

    def _norm(self, name: str, states: torch.Tensor) -> torch.Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(states, weight.shape, weight, bias)

    def _linear(self, name: str, states: torch.Tensor) -> torch.Tensor:
        return functional.linear(states, self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias"))


class WhisperPooler:
    """Pools the states of all layers of a Whisper encoder.

    Args:
        folder: of the encoder, as for ``WhisperStates``.
    """

    def __init__(self, folder: Path) -> None:
        self._states = WhisperStates(folder)

    def __call__(self, sound: Floats) -> Floats:
        """Give means and deviations over time of what goes into the first layer and comes out of each.

        Args:
            sound: float32 at 16 kHz, shape ``(n,)``, at most 30 s.

        Returns:
            float32, shape ``(2 * (layers + 1) * hidden,)``.
        """
        found = [states[0] for states in self._states(collate([sound])[0])]
        pooled = [torch.cat((some.mean(0), some.std(0, correction=0))) for some in found]
        return np.asarray(torch.cat(pooled).numpy(), dtype=np.float32)
