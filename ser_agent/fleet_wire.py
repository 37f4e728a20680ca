"""What satellites and workers say to each other over the broker: topics, sound, answers, presence. Pure: no I/O.

The contract is ``docs/adr/0025-the-broker-shares-out-the-work.md``. What comes from elsewhere is checked field by
field: it is refused with a ``WireError``, and nothing else is ever raised.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, get_args

from ser_agent.audio import SAMPLE_RATE
from ser_agent.fleet_fields import (
    LONGEST_TEXT,
    VERSION,
    WireError,
    fields_of,
    is_number,
    matching,
    scores,
    text,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.audio import Samples

State: TypeAlias = Literal["taken", "answered", "non_speech", "failed"]

CONTENT_TYPE: Final = "audio/flac"
RESERVED_SITES: Final = frozenset({"utterances", "answers", "workers"})
"""No site can be called so: its topics would be mistaken for those of the fleet."""
LONGEST_SOUND_S: Final = 60.0
LONGEST_FLAC: Final = 2_097_152
"""Bytes: more than 60 s of noise take."""
_ID = re.compile(r"[0-9A-Za-z]{26}")
_SITE = re.compile(r"[a-z0-9_-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class FleetTopics:
    """The fleet's topics.

    Attributes:
        base: first part of all of them.
    """

    base: str

    def utterances(self, site: str) -> str:
        """Where a site's sound goes."""
        return f"{self.base}/utterances/{site}"

    def answers(self, site: str) -> str:
        """Where the answers to a site go."""
        return f"{self.base}/answers/{site}"

    def worker(self, name: str) -> str:
        """Where a worker says that it is there."""
        return f"{self.base}/workers/{name}"

    @property
    def all_workers(self) -> str:
        """The filter for every worker's presence."""
        return self.worker("+")

    def shared(self, group: str) -> str:
        """The shared subscription under which the workers of a group divide the sound of all sites."""
        return f"$share/{group}/{self.base}/utterances/#"

    def site_of(self, utterances_topic: str) -> str | None:
        """The site whose sound a topic carries; None where it is no such topic."""
        site = utterances_topic.removeprefix(self.utterances(""))
        return site if site != utterances_topic and _SITE.fullmatch(site) else None

    def worker_of(self, worker_topic: str) -> str | None:
        """The worker whose presence a topic tells; None where it is no such topic."""
        name = worker_topic.removeprefix(self.worker(""))
        return name if name != worker_topic and _NAME.fullmatch(name) else None


@dataclass(frozen=True, slots=True)
class Ask:
    """An utterance that a satellite asks about.

    Attributes:
        id: of the utterance, 26 letters and digits.
        site: whose it is.
        attempt: which try this is, from 1 on.
        response_topic: where the answer is to go.
        expires_in_s: for how long the answer is of use, seconds.
        payload: the sound, as ``encode_sound`` makes it.
    """

    id: str
    site: str
    attempt: int
    response_topic: str
    expires_in_s: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What a worker says of an utterance.

    Attributes:
        id: of the utterance.
        state: ``taken``: it begins with it now; ``answered``; ``non_speech``: nobody spoke; ``failed``.
        worker: its name.
        model: name of the model that answered, with ``answered`` and ``non_speech``.
        scores: a probability for each label, with ``answered``.
        reason: why it failed, with ``failed``.
    """

    id: str
    state: State
    worker: str
    model: str | None = None
    scores: Mapping[str, float] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """What a worker says of itself for as long as it is there.

    Attributes:
        worker: its name, unique on the broker.
        group: of the workers that it shares the work with.
        model: name and revision of its model.
        labels: every label that its answers hold.
        uncertain_below: confidence of the best label under which the model's makers call it uncertain.
        licence: SPDX identifier of the model, where known.
        languages: ISO 639-1 codes of the languages that it was trained on, where known.
    """

    worker: str
    group: str
    model: str
    labels: tuple[str, ...]
    uncertain_below: float
    licence: str | None = None
    languages: tuple[str, ...] = ()


def is_id(text: str) -> bool:
    """Whether a text can be the id of an utterance."""
    return _ID.fullmatch(text) is not None


def encode_sound(samples: Samples) -> bytes:
    """Pack sound without loss.

    Args:
        samples: int16, shape ``(n,)``, mono at ``SAMPLE_RATE``.

    Returns:
        FLAC.
    """
    import soundfile  # noqa: PLC0415 - only who sends or gets sound needs its library

    packed = io.BytesIO()
    soundfile.write(packed, samples, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return packed.getvalue()


def decode_sound(payload: bytes) -> Samples:
    """Unpack sound.

    Returns:
        int16, shape ``(n,)``, mono at ``SAMPLE_RATE``, n at least 1.

    Raises:
        WireError: it is no FLAC of mono 16 kHz 16 bits, damaged, empty or longer than 60 s.
    """
    import soundfile  # noqa: PLC0415 - only who sends or gets sound needs its library

    if len(payload) > LONGEST_FLAC:
        raise WireError(f"sound of {len(payload)} bytes is too long")
    most = round(LONGEST_SOUND_S * SAMPLE_RATE)
    try:
        with soundfile.SoundFile(io.BytesIO(payload)) as file:
            kind = (file.format, file.subtype, file.channels, file.samplerate)
            if kind != ("FLAC", "PCM_16", 1, SAMPLE_RATE):
                raise WireError(f"sound is no FLAC of mono 16 kHz 16 bits but {kind}")
            samples: Samples = file.read(most + 1, dtype="int16")
    except (RuntimeError, ValueError, TypeError, OSError, MemoryError) as error:
        raise WireError("sound is no FLAC that can be read") from error
    if not len(samples):
        raise WireError("sound is empty")
    if len(samples) > most:
        raise WireError(f"sound is longer than {LONGEST_SOUND_S:.0f} s")
    return samples


def encode_reply(reply: Reply) -> bytes:
    """An answer as JSON, without what it has not."""
    fields = {
        "version": VERSION,
        "id": reply.id,
        "state": reply.state,
        "worker": reply.worker,
        "model": reply.model,
    }
    given: dict[str, object] = {key: value for key, value in fields.items() if value is not None}
    if reply.scores is not None:
        given["scores"] = dict(reply.scores)
    if reply.reason is not None:
        given["reason"] = reply.reason[:LONGEST_TEXT]
    return _as_json(given)


def decode_reply(payload: bytes) -> Reply:
    """Read an answer.

    Raises:
        WireError: it is none.
    """
    fields = fields_of(payload)
    state = fields.get("state")
    if state not in get_args(State):
        raise WireError("'state' is none of those that there are")
    return Reply(
        id=matching(fields, "id", _ID),
        state=cast("State", state),
        worker=matching(fields, "worker", _NAME),
        model=text(fields, "model") if state in {"answered", "non_speech"} else None,
        scores=scores(fields.get("scores")) if state == "answered" else None,
        reason=text(fields, "reason") if state == "failed" else None,
    )


def encode_presence(presence: Presence) -> bytes:
    """A worker's presence as JSON."""
    fields = {
        "worker": presence.worker,
        "group": presence.group,
        "model": presence.model,
        "labels": list(presence.labels),
        "uncertain_below": presence.uncertain_below,
        "licence": presence.licence,
        "languages": list(presence.languages),
    }
    return _as_json({"version": VERSION, **fields})


def decode_presence(payload: bytes) -> Presence | None:
    """Read a worker's presence; None where it has gone.

    Raises:
        WireError: it is none.
    """
    if not payload:
        return None
    fields = fields_of(payload)
    labels = texts(fields, "labels")
    if not labels:
        raise WireError("'labels' is empty")
    threshold = fields.get("uncertain_below")
    if not is_number(threshold) or not 0.0 <= threshold <= 1.0:
        raise WireError("'uncertain_below' is no number from 0 to 1")
    return Presence(
        worker=matching(fields, "worker", _NAME),
        group=matching(fields, "group", _NAME),
        model=text(fields, "model"),
        labels=labels,
        uncertain_below=float(threshold),
        licence=None if fields.get("licence") is None else text(fields, "licence"),
        languages=texts(fields, "languages"),
    )


def _as_json(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
