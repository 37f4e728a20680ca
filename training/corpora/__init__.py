"""The recordings: who speaks, with which emotion, and what each speaker is for.

``read_clips`` gives everything that an experiment learns from or is judged by.
"""

from __future__ import annotations

from training.corpora.clips import (
    CORPUS_LABELS,
    LABELS,
    MODEL_LABELS,
    NON_SPEECH,
    Clip,
    CorpusError,
    Part,
    allowed_labels,
)
from training.corpora.manifest import Noise, Room, read_manifest, read_noises, read_plain_speech, read_rooms
from training.corpora.own import read_own
from training.corpora.reading import Recording, read_clips, recordings
from training.corpora.sampling import sampling_weights
from training.corpora.votes import CrowdVotes

__all__ = [
    "CORPUS_LABELS",
    "LABELS",
    "MODEL_LABELS",
    "NON_SPEECH",
    "Clip",
    "CorpusError",
    "CrowdVotes",
    "Noise",
    "Part",
    "Recording",
    "Room",
    "allowed_labels",
    "read_clips",
    "read_manifest",
    "read_noises",
    "read_own",
    "read_plain_speech",
    "read_rooms",
    "recordings",
    "sampling_weights",
]
