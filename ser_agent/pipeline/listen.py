"""The first stage: frames from the source, through the endpointer, to a queue of utterances."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING

from ser_agent.audio import Utterance
from ser_agent.backoff import Backoff
from ser_agent.errors import SourceError, SourceLost
from ser_agent.messages import Availability, ListeningState, MicrophoneState, SpeechState
from ser_agent.pipeline.stage import POLL_S, Ready, Stage, Surroundings
from ser_agent.segmenter import Discarded, SpeechEnded, SpeechStarted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ser_agent.audio import AudioFrame
    from ser_agent.buffer import BoundedQueue
    from ser_agent.endpointing import Endpointer
    from ser_agent.ports import AudioSource
    from ser_agent.segmenter import SegmenterOutput

log = logging.getLogger(__name__)

BACKOFF_LEAST_S = 0.2
BACKOFF_MOST_S = 15.0


class ListenStage(Stage):
    """Listens until the source ends or ``stop`` is called; a source that is lost is opened again and again.

    While nobody wants sound the source is closed, and the stage goes on giving signs of life.
    """

    def __init__(
        self,
        source: AudioSource,
        endpointer: Endpointer,
        downstream: BoundedQueue[Utterance],
        surroundings: Surroundings,
    ) -> None:
        super().__init__("listen", surroundings)
        self._source = source
        self._endpointer = endpointer
        self._downstream = downstream
        self._stopping = threading.Event()
        self._muted = threading.Event()
        self._attention = threading.Event()
        self._backoff: Backoff | None = None
        self._up = False
        self._connected = False
        self._speaking = False
        self._expected_offset = 0

    def stop(self) -> None:
        """Let the utterance in progress be finished and end; may be called from any thread."""
        self._stopping.set()
        self._attention.set()
        self._source.close()

    def set_listening(self, *, on: bool) -> None:
        """Release the source and drop the utterance in progress, or open it again. In the main thread only."""
        self._controls.listening = on
        if not on:
            self._muted.set()  # until it has been heeded: sound may be wanted again before that
            self._source.close()
        self._attention.set()

    @property
    def connected(self) -> bool:
        """Whether frames arrive."""
        return self._connected

    def work(self) -> None:
        """Listen until the end."""
        if self._controls.listening:
            self._publisher.publish(ListeningState(on=True))
        try:
            while not self._stopping.is_set():
                if self._muted.is_set() or not self._controls.listening:
                    self._rest()
                elif self._open() and self._listen():
                    return
        finally:
            self._source.close()
            self._say_disconnected(lost=False)
            self._downstream.close()

    def _rest(self) -> None:
        """Keep the source closed until sound is wanted again."""
        self._source.close()
        self._backoff = None
        self._abandon_utterance()
        self._say_disconnected(lost=False)
        self._publisher.publish(ListeningState(on=False))
        self._become_up()
        while not (self._controls.listening or self._stopping.is_set()):
            self.beat()
            self._pause(POLL_S)
        self._muted.clear()
        if self._controls.listening:
            self._publisher.publish(ListeningState(on=True))

    def _open(self) -> bool:
        """Open the source; one that was lost, however long it takes: exponential back-off with full jitter.

        Returns:
            False where it was told meanwhile to stop or to rest.

        Raises:
            SourceError: it cannot be opened although the agent was never up.
        """
        while not self._is_interrupted():
            self.beat()
            if self._backoff is not None:
                self._pause(BACKOFF_LEAST_S + self._backoff.next_s())
                if self._is_interrupted():
                    break
            try:
                self._source.open()
            except SourceError as error:
                if not self._up:
                    raise
                log.info("source still away: %s", error)
                self._lose_source()
            else:
                return True
        return False

    def _is_interrupted(self) -> bool:
        return self._stopping.is_set() or self._muted.is_set()

    def _pause(self, duration_s: float) -> None:
        """Wait for a while, or until something has changed, which the caller looks for."""
        self._attention.wait(duration_s)
        self._attention.clear()

    def _listen(self) -> bool:
        """Take frames until the source ends (True), or is lost or closed (False)."""
        if self._is_interrupted():  # while it was being opened: ``close`` came too early to be noticed
            return False
        try:
            for frame in self._source.frames():
                if self._muted.is_set():
                    return False
                self._take(frame)
        except SourceLost as lost:
            if not self._up and not self._is_interrupted():
                raise
            if not self._muted.is_set():
                self._disconnect(lost)
            return False
        if self._muted.is_set():
            return False
        self._handle(self._endpointer.finish("end_of_stream"))
        return True

    def _take(self, frame: AudioFrame) -> None:
        self.beat()
        if not self._connected:
            self._connect(frame)
        elif frame.offset > self._expected_offset:
            self._metrics.lost_frames(math.ceil((frame.offset - self._expected_offset) / len(frame.samples)))
        self._expected_offset = frame.offset + len(frame.samples)
        self._metrics.heard(frame)
        self._handle(self._endpointer.feed(frame))

    def _connect(self, frame: AudioFrame) -> None:
        self._connected = True
        self._expected_offset = frame.offset
        self._backoff = None
        if self._up:
            log.info("sound arrives again")
        self._become_up()
        self._publisher.publish(MicrophoneState(connected=True))

    def _become_up(self) -> None:
        if not self._up:
            self._up = True
            self._publisher.publish(Availability(online=True))
            self._occurrences.put(Ready())

    def _disconnect(self, lost: SourceLost) -> None:
        log.warning("source lost: %s", lost)
        self._handle(self._endpointer.finish("source_lost"))
        self._say_disconnected(lost=True)
        self._lose_source()

    def _say_disconnected(self, *, lost: bool) -> None:
        if self._connected:
            self._connected = False
            self._publisher.publish(MicrophoneState(connected=False, lost=lost))

    def _lose_source(self) -> None:
        """Close it, and let the next attempt to open it wait longer than the one before."""
        self._source.close()
        self._backoff = self._backoff or Backoff(BACKOFF_MOST_S)

    def _abandon_utterance(self) -> None:
        """Nobody wants to know how the utterance in progress sounds."""
        for output in self._endpointer.finish("end_of_stream"):
            if isinstance(output, Utterance):
                self._metrics.dropped("muted")
            else:
                self._handle([output])

    def _handle(self, outputs: Iterable[SegmenterOutput]) -> None:
        for output in outputs:
            match output:
                case SpeechStarted():
                    self._metrics.began()
                    self._say_speaking(speaking=True)
                case Utterance():
                    self._hand_over(output)
                case Discarded():
                    self._metrics.dropped("too_short")
                case SpeechEnded():
                    self._say_speaking(speaking=False)

    def _say_speaking(self, *, speaking: bool) -> None:
        if speaking != self._speaking:
            self._speaking = speaking
            self._publisher.publish(SpeechState(speaking=speaking))

    def _hand_over(self, utterance: Utterance) -> None:
        if self._source.live:
            if self._downstream.put(utterance) is not None:
                self._metrics.dropped("overload")
                log.warning("the classifier does not keep up: dropped the oldest utterance waiting")
            return
        while not self._downstream.put_wait(utterance, POLL_S):
            if self._downstream.closed:
                return  # the classifier's stage has died: settling the books counts what it leaves
            self.beat()
