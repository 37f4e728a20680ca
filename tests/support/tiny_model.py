"""A Wav2Vec2 of the embedded model's shape, but tiny and with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import Wav2Vec2ForSequenceClassification

HIDDEN = 16


def tiny_model(labels: int = 7) -> Wav2Vec2ForSequenceClassification:
    """Make one, always the same."""
    import torch  # noqa: PLC0415 - an extra
    from transformers import Wav2Vec2Config, Wav2Vec2ForSequenceClassification  # noqa: PLC0415

    torch.manual_seed(0)
    config: Any = Wav2Vec2Config(
        hidden_size=HIDDEN,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_kernel=(400, 3),
        conv_stride=(160, 2),
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=HIDDEN,
        classifier_proj_size=HIDDEN,
    )
    config.num_labels = labels
    model: Wav2Vec2ForSequenceClassification = Wav2Vec2ForSequenceClassification(config).eval()
    return model
