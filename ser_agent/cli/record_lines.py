"""What ``ser-agent classify`` prints of an utterance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ser_agent.labels import EMOJI

if TYPE_CHECKING:
    from ser_agent.archives.records import Record


def line(record: Record, *, as_json: bool, segment: bool) -> str:
    """A record for programs or for people; where nobody spoke, without emotion, or in words that say so.

    Args:
        record: of an utterance.
        as_json: whether for programs.
        segment: whether the file was cut: then people are told where the utterance is.
    """
    if as_json:
        return json.dumps(record, ensure_ascii=False)
    emotion = record["emotion"]
    where = f"  {record['start_s']:.2f} … {record['end_s']:.2f} s" if segment else ""
    scores = ", ".join(f"{score['label']} {score['score']:.0%}" for score in record["emotions"])
    told = f"{EMOJI.get(emotion, '')} {emotion}  ({scores})" if emotion else "🔇 no speech"
    return f"{record['file']}{where}  {told}"
