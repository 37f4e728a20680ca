"""What each of the users' own speakers is for: to train on, to choose by, or for the final figures."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from training.corpora.clips import Clip, CorpusError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from training.corpora.clips import Part

log = logging.getLogger(__name__)

DEV_SHARE: Final = 0.2
HELD_SHARE: Final = 0.15
_PARTS: Final[tuple[Part, ...]] = ("train", "held", "dev")
"""Those without which nothing goes first."""


@dataclass(frozen=True, slots=True)
class OwnRow:
    """One of the users' own recordings, as it was described.

    Attributes:
        where: it was described: file and line, for messages.
        path: absolute.
        name: the path as it was given: it stays the same when all is moved elsewhere.
        corpus: where it is from.
        emotion: one of ``MODEL_LABELS``.
        speaker: None where unknown.
        part: None where nothing was said.
        lang: empty where unknown.
    """

    where: str
    path: str
    name: str
    corpus: str
    emotion: str
    speaker: str | None
    part: Part | None
    lang: str


def clips_in_parts(rows: Sequence[OwnRow]) -> list[Clip]:
    """Give every speaker to one part: the one that was asked for, or else the one that a hash of the name says.

    A recording whose speaker is unknown counts as a speaker of its own. Of a corpus of which no part was asked for
    no part stays empty, as far as there are enough speakers.

    Args:
        rows: of all own recordings.

    Raises:
        CorpusError: one speaker was asked to be in two parts.
    """
    speakers = {row.path: row.speaker or f"unknown:{row.name}" for row in rows}
    parts: dict[tuple[str, str], Part] = {}
    for corpus in dict.fromkeys(row.corpus for row in rows):
        of_corpus = [row for row in rows if row.corpus == corpus]
        asked = _asked(of_corpus)
        open_rows = [row for row in of_corpus if row.part is None and row.speaker not in asked]
        fill = all(row.part is None for row in of_corpus)
        found = asked | _by_hash(corpus, {speakers[row.path] for row in open_rows}, fill=fill)
        parts |= {(corpus, speaker): part for speaker, part in found.items()}
        _warn(corpus, of_corpus, {*found.values(), *(row.part for row in of_corpus)})
    return [
        Clip(
            path=row.path,
            corpus=row.corpus,
            speaker=speakers[row.path],
            emotion=row.emotion,
            part=row.part or parts[row.corpus, speakers[row.path]],
            lang=row.lang,
        )
        for row in rows
    ]


def part_by_hash(corpus: str, speaker: str) -> Part:
    """Decide by a hash of the names: it is the same always and everywhere, whoever else is in the corpus."""
    place = _place(corpus, speaker)
    if place < DEV_SHARE:
        return "dev"
    return "held" if place < DEV_SHARE + HELD_SHARE else "train"


def _place(corpus: str, speaker: str) -> float:
    """A number from 0 to 1."""
    digest = hashlib.sha256(f"{corpus}/{speaker}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _by_hash(corpus: str, speakers: Iterable[str], *, fill: bool) -> dict[str, Part]:
    """Decide for several; of few speakers some are taken for the parts that would be empty."""
    order = sorted(speakers, key=lambda speaker: _place(corpus, speaker))
    parts = {speaker: part_by_hash(corpus, speaker) for speaker in order}
    if not fill:
        return parts
    if len(order) < len(_PARTS):
        return dict(zip(reversed(order), _PARTS, strict=False))
    for part in _PARTS:
        if part not in parts.values():
            counts = Counter(parts.values())
            spare = [speaker for speaker in order if counts[parts[speaker]] > 1]
            parts[next((speaker for speaker in spare if parts[speaker] == "train"), spare[-1])] = part
    return parts


def _asked(rows: Iterable[OwnRow]) -> dict[str, Part]:
    """The parts of the speakers of a corpus of whom something was said."""
    first: dict[str, OwnRow] = {}
    for row in rows:
        if row.speaker is None or row.part is None:
            continue
        other = first.setdefault(row.speaker, row)
        if other.part != row.part:
            raise CorpusError(
                f"{row.where}: split: speaker {row.speaker!r} is in {row.part!r} here and in {other.part!r} at "
                f"{other.where}; figures on speakers that were trained on tell nothing"
            )
    return {speaker: row.part for speaker, row in first.items() if row.part is not None}


def _warn(corpus: str, rows: Sequence[OwnRow], parts: Collection[Part | None]) -> None:
    """Say what the figures will not tell."""
    unknown = sum(row.speaker is None and row.part is None for row in rows)
    if unknown:
        log.warning(
            "%s: the speakers of %d of %d clips are unknown, so these are split at random, and figures on them "
            "flatter: the same people are heard in training. Name them in a column 'speaker'",
            corpus,
            unknown,
            len(rows),
        )
    if missing := [part for part in ("held", "dev") if part not in parts]:
        log.warning(
            "%s: nobody is in %s: more speakers are needed, or a column 'split', to tell how well they are heard",
            corpus,
            " and ".join(repr(part) for part in missing),
        )
