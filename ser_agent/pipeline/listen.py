"""The first stage: frames from the source, through the endpointer, to a queue of utterances."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING

from ser_agent.audio import Utterance
from ser_agent.backoff import Backoff
from ser_agent.errors import SourceError, SourceLost
from ser_agent.messages import Availability, MicrophoneState, SpeechState
from ser_agent.pipeline.stage import POLL_S, FirstFrame, Stage, Surroundings
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
    """Listens until the source ends or ``stop`` is called; a source that is lost is opened again and again."""

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
        self._ever_heard = False
        self._connected = False
        self._speaking = False
        self._expected_offset = 0

    def stop(self) -> None:
        """Let the utterance in progress be finished and end; may be called from any thread."""
        self._stopping.set()
        self._source.close()

    def work(self) -> None:
        """Listen until the end."""
        try:
            self._source.open()
            while not self._listen():
                self._reopen()
        finally:
            self._source.close()
            self._say_disconnected(lost=False)
            self._downstream.close()

    def _listen(self) -> bool:
        """Take frames until the source ends (True) or is lost (False)."""
        if self._stopping.is_set():  # while it was being opened: ``stop`` has closed it too early to be noticed
            return True
        try:
            for frame in self._source.frames():
                self._take(frame)
        except SourceLost as lost:
            if not self._ever_heard and not self._stopping.is_set():
                raise
            self._disconnect(lost)
        else:
            self._handle(self._endpointer.finish("end_of_stream"))
            return True
        return self._stopping.is_set()

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
        if self._ever_heard:
            log.info("sound arrives again")
        else:
            self._ever_heard = True
            self._publisher.publish(Availability(online=True))
            self._occurrences.put(FirstFrame())
        self._publisher.publish(MicrophoneState(connected=True))

    def _disconnect(self, lost: SourceLost) -> None:
        log.warning("source lost: %s", lost)
        self._handle(self._endpointer.finish("source_lost"))
        self._say_disconnected(lost=True)

    def _say_disconnected(self, *, lost: bool) -> None:
        if self._connected:
            self._connected = False
            self._publisher.publish(MicrophoneState(connected=False, lost=lost))

    def _reopen(self) -> None:
        """Open the source again, however long it takes: exponential back-off with full jitter."""
        backoff = Backoff(BACKOFF_MOST_S)
        while not self._stopping.is_set():
            self.beat()
            self._source.close()
            if self._stopping.wait(BACKOFF_LEAST_S + backoff.next_s()):
                return
            try:
                self._source.open()
            except SourceError as error:
                log.info("source still away: %s", error)
            else:
                return

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
