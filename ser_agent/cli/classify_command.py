"""``ser-agent classify``: the emotion of audio files, in bounded memory however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ser_agent import logs
from ser_agent.app import Workshop
from ser_agent.archives.records import record
from ser_agent.cli.answering import answers_to, on_all_cores
from ser_agent.cli.listening import FileReader
from ser_agent.cli.record_lines import line
from ser_agent.cli.settings import load_settings
from ser_agent.errors import EX_OK, AudioFileError

if TYPE_CHECKING:
    import argparse


def execute(args: argparse.Namespace) -> int:
    """Print one line for each utterance."""
    if args.ray is not None:
        from ser_agent.cli import ray_classify

        return ray_classify.execute(args)
    loaded = on_all_cores(load_settings(args))
    logs.set_up(loaded.config.log.level)
    workshop, config = Workshop(loaded), loaded.config
    reader = FileReader(args.files)
    utterances = reader.segmented(workshop) if args.segment else reader.whole()
    classifier = workshop.classifier()
    try:
        for path, utterance, answer in answers_to(classifier, utterances):
            threshold = classifier.load().threshold(config.classifier.min_confidence)  # loaded already
            told = record(str(path), utterance, answer, threshold, args.top)
            print(line(told, as_json=args.jsonl, segment=args.segment), flush=True)
    finally:
        classifier.close()
    return AudioFileError.exit_code if reader.failures else EX_OK
