"""The first stage: frames from the source, through the endpointer, to a queue of utterances."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from ser_agent.audio import Draft, Lull
from ser_agent.backoff import Backoff
from ser_agent.errors import SourceError, SourceLost
from ser_agent.messages import Availability, ListeningState
from ser_agent.pipeline.lanes import Lane, Lanes
from ser_agent.pipeline.presence import Presence
from ser_agent.pipeline.stage import POLL_S, Ready, Stage, Surroundings

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.audio import AudioFrame, Sound, Utterance
    from ser_agent.endpointing import Endpointer
    from ser_agent.pipeline.waiting import UtteranceQueue
    from ser_agent.ports import AudioSource

log = logging.getLogger(__name__)

BACKOFF_LEAST_S = 0.2
BACKOFF_MOST_S = 15.0


class ListenStage(Stage):
    """Listens until the source ends or ``stop`` is called; a source that is lost is opened again and again.

    While nobody wants sound the source is closed, and the stage goes on giving signs of life. A source may hear
    several sites: each has a lane of its own, and all of them go through the detectors in this one thread.
    """

    def __init__(
        self,
        source: AudioSource,
        make_endpointer: Callable[[], Endpointer],
        downstream: UtteranceQueue,
        surroundings: Surroundings,
    ) -> None:
        """Prepare.

        Args:
            source: where sound comes from.
            make_endpointer: makes one for each site.
            downstream: takes utterances.
            surroundings: what all stages share.
        """
        super().__init__("listen", surroundings)
        self._source = source
        self._downstream = downstream
        self._presence = Presence(self._publisher.publish)
        self._lanes = Lanes(
            lambda site: Lane(site, make_endpointer(), self._presence, self._hand_over, surroundings)
        )
        self._voice = surroundings.voice
        self._stopping = threading.Event()
        self._muted = threading.Event()
        self._attention = threading.Event()
        self._backoff: Backoff | None = None
        self._up = False

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
        return self._presence.heard_anywhere

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
            self._fall_silent()
            self._downstream.close()

    def _rest(self) -> None:
        """Keep the source closed until sound is wanted again."""
        self._source.close()
        self._backoff = None
        for lane in self._lanes:
            lane.abandon()
        self._fall_silent()
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
            for sound in self._source.frames():
                if self._muted.is_set():
                    return False
                self._take(sound)
        except SourceLost as lost:
            if not self._up and not self._is_interrupted():
                raise
            if not self._muted.is_set():
                self._disconnect(lost)
            return False
        if self._muted.is_set():
            return False
        for lane in self._lanes:
            lane.finish("end_of_stream")
        return True

    def _take(self, sound: Sound) -> None:
        self.beat()
        if isinstance(sound, Lull):
            self._take_lull(sound)
            return
        if not self._presence.heard_anywhere:
            self._come_up(sound)
        self._lanes.of(sound.site).take(sound)

    def _take_lull(self, lull: Lull) -> None:
        lane = self._lanes.known(lull.site)
        match lull.kind:
            case "waiting":
                self._backoff = None
                self._become_up()
            case "silent" if lane is not None:
                lane.lose()
            case "away" if lane is not None:
                lane.leave()
            case "forgotten":
                self._lanes.drop(lull.site)

    def _come_up(self, frame: AudioFrame) -> None:
        """Sound arrives from somewhere, where none did."""
        self._backoff = None
        if self._up and frame.site is None:
            log.info("sound arrives again")
        self._become_up()

    def _become_up(self) -> None:
        if not self._up:
            self._up = True
            self._publisher.publish(Availability(online=True))
            self._occurrences.put(Ready())

    def _disconnect(self, lost: SourceLost) -> None:
        log.warning("source lost: %s", lost)
        for lane in self._lanes:
            lane.lose()
        self._lose_source()

    def _fall_silent(self) -> None:
        for lane in self._lanes:
            lane.fall_silent()

    def _lose_source(self) -> None:
        """Close it, and let the next attempt to open it wait longer than the one before."""
        self._source.close()
        self._backoff = self._backoff or Backoff(BACKOFF_MOST_S)

    def _hand_over(self, utterance: Utterance | Draft) -> None:
        if isinstance(utterance, Draft):
            if not self._voice.heard_in(utterance.utterance):
                self._downstream.offer(utterance)
            return
        if self._voice.heard_in(utterance):
            self._metrics.dropped("assistant_speaking")
            log.debug("utterance dropped: the assistant itself spoke")
            return
        if self._source.live:
            if dropped := len(self._downstream.put(utterance)):
                self._metrics.dropped("overload", dropped)
                log.warning("the classifier does not keep up: dropped the oldest utterance waiting")
            return
        while not self._downstream.put_wait(utterance, POLL_S):
            if self._downstream.closed:
                return  # the classifier's stage has died: settling the books counts what it leaves
            self.beat()
