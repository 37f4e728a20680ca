"""What the broker delivers, and who cares for it."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ser_agent.sinks.mqtt_commands import SUBSCRIPTIONS
from ser_agent.sinks.mqtt_rivals import Rivals, Verdict

if TYPE_CHECKING:
    from ser_agent.sinks.mqtt_commands import CommandGate
    from ser_agent.sinks.mqtt_leftovers import Leftovers
    from ser_agent.sinks.mqtt_mailbox import Mailbox
    from ser_agent.sinks.mqtt_topics import Publication, Topics

log = logging.getLogger(__name__)

BORN = b"online"
BIRTH_DELAY_S = (0.5, 5.0)
"""Home Assistant is told everything so long after its birth: it has just begun to listen, and not to us alone."""
INSIST_DELAY_S = 0.5
"""Somebody who goes on writing over our topics is not answered more often than that."""


@dataclass(slots=True)
class Inbox:
    """Sorts what comes in. In the courier's thread only.

    Attributes:
        topics: of the agent.
        mailbox: what has to be told.
        gate: takes commands; None where no agent runs that could heed them.
        birth_topic: where Home Assistant says that it is up; None where it is of no interest.
        leftovers: what may have to be cleared.
        rivals: who else has our site.
        has_elder: whether an elder agent was found at our topics.
    """

    topics: Topics
    mailbox: Mailbox
    gate: CommandGate | None
    birth_topic: str | None
    leftovers: Leftovers
    rivals: Rivals
    has_elder: bool = False

    @property
    def subscriptions(self) -> list[str]:
        """What there is to hear."""
        own = ["availability", "info", *(() if self.gate is None else SUBSCRIPTIONS)]
        birth = [] if self.birth_topic is None else [self.birth_topic]
        return [*(self.topics.path(tail) for tail in own), *birth, *self.leftovers.subscriptions]

    def begin_session(self) -> None:
        """A connection is up."""
        self.rivals.begin_session()
        self.mailbox.begin_session()
        for publication in self.leftovers.beginning():
            self.mailbox.note(publication)

    def dismiss_elder(self) -> None:
        """The elder agent has gone."""
        self.has_elder = False
        self.rivals.dismiss()

    def note_arrived(self, publication: Publication) -> None:
        """The broker has a publication; after ``info`` the others know of us."""
        if publication.topic == self.topics.path("info"):
            self.rivals.introduce(publication.payload)

    def receive(self, topic: str, payload: bytes, *, retained: bool) -> None:
        """Take in a message."""
        match self.topics.tail(topic):
            case "availability":
                self.mailbox.contradict(payload)
            case "info":
                self._judge(payload, retained=retained)
            case str(tail):
                if self.gate is not None:
                    self.gate.take(tail, payload, retained=retained)
            case None if topic == self.birth_topic:
                # A retained birth is from before this session, at whose beginning everything was told.
                if payload == BORN and not retained:
                    self.mailbox.retell(random.uniform(*BIRTH_DELAY_S))  # noqa: S311 - not a secret
            case None:
                for publication in self.leftovers.examine(topic, payload):
                    self.mailbox.note(publication)

    def _judge(self, payload: bytes, *, retained: bool) -> None:
        match self.rivals.judge(payload, retained=retained):
            case Verdict.INSIST:
                self.mailbox.retell(INSIST_DELAY_S)
            case Verdict.STAND_BACK:
                self.has_elder = True
            case Verdict.NOTHING:
                pass
