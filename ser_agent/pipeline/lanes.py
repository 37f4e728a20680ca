"""What is heard of one site: its endpointer, its books, and the session of a voice assistant there."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from ser_agent.audio import Draft, Utterance
from ser_agent.messages import Availability, SiteForgotten
from ser_agent.segmenter import Discarded, SpeechEnded, SpeechStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ser_agent.audio import AudioFrame, EndReason
    from ser_agent.endpointing import Endpointer
    from ser_agent.pipeline.presence import Presence
    from ser_agent.pipeline.stage import Surroundings
    from ser_agent.segmenter import SegmenterOutput

MOST_LANES = 128
"""A source that hears more sites than that loses sight of those that it has heard of first."""


class Lane:
    """One site, or, where a source hears but one, all of it. In the listening stage's thread only."""

    def __init__(
        self,
        site: str | None,
        endpointer: Endpointer,
        presence: Presence,
        hand_over: Callable[[Utterance | Draft], None],
        surroundings: Surroundings,
    ) -> None:
        """Begin with nothing heard.

        Args:
            site: which one; None: the agent's own.
            endpointer: for this site alone.
            presence: tells whether sound arrives and somebody speaks.
            hand_over: takes utterances, and drafts of them.
            surroundings: what all stages share.
        """
        self.site = site
        self._endpointer = endpointer
        self._presence = presence
        self._hand_over = hand_over
        self._metrics = surroundings.metrics
        self._publisher = surroundings.publisher
        self._expected_offset = 0
        self._online = False
        self._session: str | None = None

    def take(self, frame: AudioFrame) -> None:
        """Take the site's next frame."""
        if not self._presence.is_heard(self.site):
            self._come()
        elif frame.offset > self._expected_offset:
            self._metrics.lost_frames(math.ceil((frame.offset - self._expected_offset) / len(frame.samples)))
        self._expected_offset = frame.offset + len(frame.samples)
        self._metrics.heard(frame)
        if frame.session is not None or not self._presence.is_speaking(self.site):
            self._session = frame.session  # one that ends while somebody speaks is the utterance's yet
        self._handle(self._endpointer.feed(frame))

    def finish(self, reason: EndReason) -> None:
        """The sound ends here, and with it the utterance in progress."""
        self._handle(self._endpointer.finish(reason))

    def lose(self) -> None:
        """The sound has ceased although nobody wanted that."""
        self.finish("source_lost")
        self._presence.sound(self.site, arrives=False, lost=True)

    def abandon(self) -> None:
        """Nobody wants to know how the utterance in progress sounds."""
        for output in self._endpointer.finish("end_of_stream"):
            if isinstance(output, Utterance):
                self._metrics.dropped("muted")
            else:
                self._handle([output])

    def fall_silent(self) -> None:
        """No sound is expected any more, for a good reason."""
        self._presence.sound(self.site, arrives=False)

    def leave(self, *, forever: bool = False) -> None:
        """The site counts as switched off; or nothing of it is kept any more.

        Args:
            forever: the latter.
        """
        self.finish("source_lost")
        self.fall_silent()
        if self.site is not None and self._online:
            self._publisher.publish(Availability(online=False, site=self.site))
        if self.site is not None and forever:
            self._publisher.publish(SiteForgotten(site=self.site))
        self._online = False

    def _come(self) -> None:
        if self.site is not None and not self._online:
            self._publisher.publish(Availability(online=True, site=self.site))
        self._online = True
        self._presence.sound(self.site, arrives=True)

    def _handle(self, outputs: Iterable[SegmenterOutput]) -> None:
        for output in outputs:
            match output:
                case SpeechStarted():
                    self._metrics.began()
                    self._presence.speech(self.site, speaking=True)
                case Utterance():
                    self._hand_over(self._signed(output))
                case Draft():
                    self._hand_over(replace(output, utterance=self._signed(output.utterance)))
                case Discarded():
                    self._metrics.dropped("too_short")
                case SpeechEnded():
                    self._presence.speech(self.site, speaking=False)

    def _signed(self, utterance: Utterance) -> Utterance:
        if self.site is None and self._session is None:
            return utterance
        return replace(utterance, site=self.site, session=self._session)


class Lanes:
    """All lanes of a source, by site; each is made when first needed, and there are never too many."""

    def __init__(self, make: Callable[[str | None], Lane]) -> None:
        """Begin with none.

        Args:
            make: a lane for a site.
        """
        self._make = make
        self._lanes: dict[str | None, Lane] = {}

    def of(self, site: str | None) -> Lane:
        """The lane of a site."""
        lane = self._lanes.get(site)
        if lane is None:
            while len(self._lanes) >= MOST_LANES:
                self.drop(next(iter(self._lanes)))
            self._lanes[site] = lane = self._make(site)
        return lane

    def known(self, site: str | None) -> Lane | None:
        """The lane of a site, where there is one already."""
        return self._lanes.get(site)

    def drop(self, site: str | None) -> None:
        """Forget a site."""
        lane = self._lanes.pop(site, None)
        if lane is not None:
            lane.leave(forever=True)

    def __iter__(self) -> Iterator[Lane]:
        """All of them."""
        return iter(list(self._lanes.values()))
