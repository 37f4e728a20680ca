"""The one head of an author's own that is known exactly. Pure: needs no torch.

Before transformers had a class for audio classification, many emotion models were made with the recipe of
https://github.com/m3hrdadfi/soxan (``src/models.py``). Its head pools the encoder's states over time as
``pooling_mode`` says and gives ``out_proj(tanh(dense(pooled)))``. The stock class would leave it random.

The similar head of ``ehcalabres/wav2vec2-lg-xlsr-en-speech-emotion-recognition`` (``classifier.dense`` and
``classifier.output``) is not: its author's class is not published. Of those who rebuilt it, some put a tanh
between the two layers and some nothing; so it is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

DENSE = "classifier.dense"
OUT = "classifier.out_proj"
_ARCHITECTURES = {"Wav2Vec2ForSpeechClassification", "HubertForSpeechClassification"}
_OWN = {f"{layer}.{part}" for layer in (DENSE, OUT) for part in ("weight", "bias")}
_STOCK = {f"{layer}.{part}" for layer in ("projector", "classifier") for part in ("weight", "bias")}


def head_of_soxan(config: Any, missing: Collection[str], unexpected: Collection[str]) -> bool:  # noqa: ANN401
    """Whether a checkpoint's head is certainly the one of that recipe, with mean pooling.

    Its names alone do not say so (others put other functions between the layers): the class and the pooling that
    the recipe writes into ``config.json`` must be there too.

    Args:
        config: the configuration of transformers.
        missing: names of weights that the stock class has and the checkpoint has not.
        unexpected: names of weights that the checkpoint has and the stock class has not.
    """
    return (
        bool(set(config.architectures or ()) & _ARCHITECTURES)
        and getattr(config, "pooling_mode", None) == "mean"
        and set(missing) == _STOCK
        and {key for key in unexpected if key.startswith("classifier.")} == _OWN
    )
