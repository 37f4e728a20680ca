"""``ser-agent classify``: the emotion of audio files, in bounded memory however many there are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ser_agent import logs
from ser_agent.app import Workshop
from ser_agent.cli.answering import answers_to, on_all_cores
from ser_agent.cli.listening import FileReader
from ser_agent.cli.settings import load_settings
from ser_agent.errors import EX_OK, AudioFileError
from ser_agent.labels import EMOJI, UNCERTAIN
from ser_agent.messages import top_scores
from ser_agent.ports import distribution_of

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from ser_agent.audio import Utterance
    from ser_agent.messages import EmotionScore
    from ser_agent.ports import Answer


def execute(args: argparse.Namespace) -> int:
    """Print one line for each utterance."""
    loaded = on_all_cores(load_settings(args))
    logs.set_up(loaded.config.log.level)
    workshop, config = Workshop(loaded), loaded.config
    reader = FileReader(args.files)
    utterances = reader.segmented(workshop, config) if args.segment else reader.whole()
    classifier = workshop.classifier()
    try:
        for path, utterance, answer in answers_to(classifier, utterances):
            threshold = classifier.load().threshold(config.classifier.min_confidence)  # loaded already
            print(_line(args, path, utterance, answer, threshold), flush=True)
    finally:
        classifier.close()
    return AudioFileError.exit_code if reader.failures else EX_OK


def _line(args: argparse.Namespace, path: Path, utterance: Utterance, answer: Answer, threshold: float) -> str:
    """What is printed of an utterance; where nobody spoke, a record without emotion, or words that say so."""
    emotion: str | None = None
    scores: tuple[EmotionScore, ...] = ()
    distribution = distribution_of(answer)
    if distribution is not None:
        scores = top_scores(distribution, args.top)
        emotion = scores[0].label if scores[0].score >= threshold else UNCERTAIN
    if args.jsonl:
        record = {
            "file": str(path),
            "start_s": round(utterance.start_s, 3),
            "end_s": round(utterance.end_s, 3),
            "emotion": emotion,
            "confidence": scores[0].score if scores else None,
            "emotions": [score.model_dump() for score in scores],
        }
        return json.dumps(record, ensure_ascii=False)
    where = f"  {utterance.start_s:.2f} … {utterance.end_s:.2f} s" if args.segment else ""
    told = f"{EMOJI.get(emotion, '')} {emotion}  ({_told(scores)})" if emotion else "🔇 no speech"
    return f"{path}{where}  {told}"


def _told(scores: tuple[EmotionScore, ...]) -> str:
    return ", ".join(f"{score.label} {score.score:.0%}" for score in scores)
