"""What the agent's own detector and segmenter, as they come, make of whole recordings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from rich.progress import track

from ser_agent.audio import AudioFrame, Utterance
from ser_agent.endpointing import Endpointer
from ser_agent.ports import PluginContext
from ser_agent.segmenter import Segmenter, SegmenterOptions
from ser_agent.vads.cascade import CascadeOptions, CascadeVad
from training.decoding import decode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ser_agent.audio import Samples

Spans: TypeAlias = list[list[int]]
"""First sample of each utterance, and the one behind its last."""

_SAVED_EVERY = 100


def agent_utterances(corpora: Path, names: Sequence[str], store: Path) -> Mapping[str, Spans]:
    """Find the utterances in recordings; what was found before is kept, so this goes on where it was stopped.

    Args:
        corpora: the folder that the names count from.
        names: of the sound files.
        store: a JSON file that keeps what was found. Another detector or segmenter makes it anew.
    """
    options, segmenter = CascadeOptions(), SegmenterOptions()
    made_with = {"vad": options.model_dump(mode="json"), "segmenter": segmenter.model_dump(mode="json")}
    kept = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    found: dict[str, Spans] = kept["found"] if kept.get("made_with") == made_with else {}
    missing = [name for name in names if name not in found]
    detector = CascadeVad(options, PluginContext(site="training", base_dir=corpora))
    endpointer = Endpointer(detector, Segmenter(segmenter, options.threshold))
    for number, name in enumerate(track(missing, "utterances", disable=not missing), start=1):
        found[name] = _utterances(endpointer, decode(corpora / name))
        if number % _SAVED_EVERY == 0 or number == len(missing):
            unfinished = store.with_suffix(".tmp")
            unfinished.write_text(json.dumps({"made_with": made_with, "found": found}), encoding="utf-8")
            unfinished.replace(store)
    return {name: found[name] for name in names}


def _utterances(endpointer: Endpointer, samples: Samples) -> Spans:
    outputs = [
        *endpointer.feed(AudioFrame(samples, offset=0, captured_at=0.0)),
        *endpointer.finish("end_of_stream"),
    ]
    found = [output for output in outputs if isinstance(output, Utterance)]
    return [[utterance.offset, utterance.offset + len(utterance.samples)] for utterance in found]
