"""One client of the Wyoming proxy: both directions, a tee for the sound, the emotion put into the transcript."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from ser_agent.labels import UNCERTAIN
from ser_agent.wyoming_wire import (
    AUDIO_CHUNK,
    AUDIO_START,
    AUDIO_STOP,
    TRANSCRIBE,
    TRANSCRIPT,
    Head,
    Payload,
    WireParser,
    sound_format,
)
from ser_agent.wyoming_wire import with_data as with_other_data

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ser_agent.assistants.conversation import Conversation
    from ser_agent.assistants.hearing import Hearing, Verdict
    from ser_agent.pcm import PcmFormat
    from ser_agent.wyoming_wire import Token

    Handle: TypeAlias = "Callable[[Token], Awaitable[bytes]]"

log = logging.getLogger(__name__)

READ_BYTES = 65_536
LINGER_S = 120.0
"""How long a client that has said all is given its answer."""
CONTEXT_KEY = "emotion"


@dataclass(slots=True)
class Tally:
    """What became of the transcripts.

    Attributes:
        told: transcripts that carry an emotion.
        late: … that were passed on as they were because the emotion was not known in time.
        plain: … because there was none to tell: nobody spoke, or nobody wants to listen.
    """

    told: int = 0
    late: int = 0
    plain: int = 0


@dataclass(frozen=True, slots=True)
class Manner:
    """How transcripts are treated.

    Attributes:
        max_delay_s: how long one may be held back for its emotion.
        in_text: whether the emotion is also put in front of the text.
    """

    max_delay_s: float
    in_text: bool


@dataclass(frozen=True, slots=True)
class Streams:
    """The two ends of one connection.

    Attributes:
        reader: what the other side says.
        writer: what it is told.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class Relay:
    """Passes everything on, byte by byte; only a transcript whose emotion is known in time is written anew."""

    def __init__(self, conversation: Conversation, manner: Manner, tally: Tally) -> None:
        """Begin with a client.

        Args:
            conversation: hears the commands.
            manner: how transcripts are treated.
            tally: counts them.
        """
        self._conversation = conversation
        self._manner = manner
        self._tally = tally
        self._hearing: Hearing | None = None
        self._format: PcmFormat | None = None
        self._feeding = False
        self._answered = False

    async def run(self, client: Streams, upstream: Streams) -> None:
        """Relay until either side has nothing more to say, or has gone."""
        there = asyncio.create_task(_pass_on(client, upstream, self._from_client))
        back = asyncio.create_task(_pass_on(upstream, client, self._from_upstream))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
            if there.done() and there.result():  # the client has said all, and may still wait for the answer
                await asyncio.wait({back}, timeout=LINGER_S)
        finally:
            for task in (there, back):
                task.cancel()
            await asyncio.gather(there, back, return_exceptions=True)
            self._finish()

    async def _from_client(self, token: Token) -> bytes:
        """Listen to what the client says; it is passed on as it is."""
        match token:
            case Head(type=kind, data=data) if kind in {AUDIO_START, AUDIO_CHUNK}:
                self._answered &= kind == AUDIO_CHUNK
                self._prepare(sound_format(data), anew=kind == AUDIO_START)
                self._feeding = kind == AUDIO_CHUNK
            case Head(type=kind):
                self._feeding = False
                if kind in {AUDIO_STOP, TRANSCRIBE}:
                    self._answered = False
                    self._finish(keep=True)
            case Payload(raw) if self._feeding and self._hearing is not None:
                self._hearing.feed(raw)
        return token.raw

    async def _from_upstream(self, token: Token) -> bytes:
        """Put the emotion into a transcript; everything else is passed on as it is."""
        if not isinstance(token, Head) or token.type != TRANSCRIPT or not token.whole:
            return token.raw
        self._finish(keep=True)  # a recogniser may well know before the client does that a command has ended
        hearing, self._hearing = self._hearing, None
        self._answered = True
        verdict: Verdict | None = None
        if hearing is not None:
            result = asyncio.wrap_future(hearing.result)
            await asyncio.wait({result}, timeout=self._manner.max_delay_s)
            if not result.done():
                self._tally.late += 1
                log.info("a transcript was passed on as it was: its emotion was not known in time")
                return token.raw
            verdict = result.result()
        data = None if verdict is None else self._with_emotion(token.data, verdict)
        if data is None:
            self._tally.plain += 1
            return token.raw
        self._tally.told += 1
        return with_other_data(token, data)

    def _with_emotion(self, data: Mapping[str, Any], verdict: Verdict) -> dict[str, Any] | None:
        """A transcript's data with the emotion in it; None where its place is taken."""
        context = data.get("context") or {}
        if not isinstance(context, dict) or CONTEXT_KEY in context:
            return None
        emotion = verdict.in_words(self._conversation.top, self._conversation.min_confidence)
        told = {**data, "context": {**context, CONTEXT_KEY: emotion}}
        text = data.get("text")
        if self._manner.in_text and isinstance(text, str) and text.strip() and emotion["emotion"] != UNCERTAIN:
            told["text"] = f"[{emotion['emotion']}] {text}"
        return told

    def _prepare(self, pcm: PcmFormat | None, *, anew: bool) -> None:
        """See to it that there is a hearing for sound of this kind."""
        if anew:
            self._finish()
        heard = self._hearing is not None and not self._hearing.finished and pcm == self._format
        if pcm is None or heard or self._answered:
            return
        self._finish()
        self._format = pcm
        self._hearing = self._conversation.open(pcm)

    def _finish(self, *, keep: bool = False) -> None:
        """The command has ended; its verdict is of interest as long as its transcript is to come."""
        if self._hearing is not None:
            self._hearing.finish()
        if not keep:
            self._hearing = None


async def _pass_on(source: Streams, target: Streams, handle: Handle) -> bool:
    """Pass on what one side says, until it has said all (True), or either side has gone (False)."""
    parser = WireParser()
    try:
        while received := await source.reader.read(READ_BYTES):
            for token in parser.feed(received):
                target.writer.write(await handle(token))
            await target.writer.drain()
        target.writer.write(parser.rest())
        target.writer.write_eof()
        await target.writer.drain()
    except OSError:
        return False
    return True
