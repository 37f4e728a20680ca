"""``ser-agent segment``: where the utterances are. Needs no model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ser_agent import logs
from ser_agent.app import Workshop
from ser_agent.cli.listening import FileReader
from ser_agent.cli.settings import load_settings
from ser_agent.errors import EX_OK, AudioFileError

if TYPE_CHECKING:
    import argparse


def execute(args: argparse.Namespace) -> int:
    """Print one line for each utterance."""
    loaded = load_settings(args)
    logs.set_up(loaded.config.log.level)
    reader = FileReader(args.files)
    for path, utterance in reader.segmented(Workshop(loaded)):
        record = {
            "file": str(path),
            "start_s": round(utterance.start_s, 3),
            "end_s": round(utterance.end_s, 3),
            "end_reason": utterance.end_reason,
        }
        if args.jsonl:
            print(json.dumps(record, ensure_ascii=False), flush=True)
        else:
            where = f"{utterance.start_s:8.2f} … {utterance.end_s:8.2f} s"
            print(f"{path}  {where}  {utterance.end_reason}", flush=True)
    return AudioFileError.exit_code if reader.failures else EX_OK
