"""How much processor time an answer takes, beside a model of wav2vec2-base's shape in the same run."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Final, TypedDict

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

from ser_agent.audio import SAMPLE_RATE, float_from_pcm16
from training.corpora import LABELS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.audio import Samples

CLIP_S: Final = 3.0


class Speed(TypedDict):
    """Medians over calls that took turns.

    Attributes:
        cpu_ms: processor time, on one thread, for a sound of ``CLIP_S``.
        peer_cpu_ms: the same of wav2vec2-base's shape.
        times_faster: the latter in terms of the former.
    """

    cpu_ms: float
    peer_cpu_ms: float
    times_faster: float


def wav2vec2_base() -> Callable[[Samples], object]:
    """Make a model of wav2vec2-base's shape with random weights: its speed is that of the real one."""
    model = Wav2Vec2ForSequenceClassification(Wav2Vec2Config(id2label=dict(enumerate(LABELS)))).eval()
    extractor = Wav2Vec2FeatureExtractor()

    def answer(samples: Samples) -> object:
        inputs = extractor(float_from_pcm16(samples), sampling_rate=SAMPLE_RATE, return_tensors="pt")
        with torch.inference_mode():
            return model(**inputs).logits

    return answer


def measure(
    answer: Callable[[Samples], object], peer: Callable[[Samples], object], samples: Samples, repeats: int
) -> Speed:
    """Measure two systems alternately, after a first round that warms up.

    Processor time, not that of the wall clock, is what others on the machine change least.

    Args:
        answer: the system.
        peer: what it is compared with.
        samples: int16, shape ``(n,)``.
        repeats: how many rounds.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        for call, taken in zip((answer, peer), times, strict=True):
            began = time.process_time()
            call(samples)
            if repeat:
                taken.append(time.process_time() - began)
    ours_ms, peer_ms = (1000 * statistics.median(taken) for taken in times)
    return {"cpu_ms": ours_ms, "peer_cpu_ms": peer_ms, "times_faster": peer_ms / ours_ms}
