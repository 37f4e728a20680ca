"""A listener of OpenVoiceOS, as far as audio transformers can tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ser_agent.audio import Samples
    from ser_agent.ovos.transformer import EmotionTransformer

CHUNK_BYTES = 4096


def chunks_of(samples: Samples) -> list[bytes]:
    """Sound as the listener's microphone plugins deliver it."""
    data = samples.astype("<i2").tobytes()
    return [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]


def listen(transformer: EmotionTransformer, before: Samples, command: Samples) -> tuple[bytes, dict[str, Any]]:
    """Have a command heard in the order of the listener's loop.

    Silence is fed as audio, the command as speech, and once it has ended one more chunk goes through
    ``feed_speech_utterance`` and ``transform``.

    Returns:
        The chunk and the context, as the transformer gives them back.
    """
    for chunk in chunks_of(before):
        transformer.feed_audio_chunk(chunk)
    for chunk in chunks_of(command):
        transformer.feed_speech_chunk(chunk)
    one_more = transformer.feed_speech_utterance(bytes(CHUNK_BYTES))
    return transformer.transform(one_more)
