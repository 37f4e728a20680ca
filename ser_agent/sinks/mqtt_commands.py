"""Commands as they come from the broker: what they mean, and how many of them are let through."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import TYPE_CHECKING, Final, TypeAlias

from ser_agent.commands import Command, HealthCheck, Reload, Reply, Restart, SetListening, SetThreshold
from ser_agent.sinks.mqtt_topics import LISTEN_SET, REQUESTS, THRESHOLD_SET
from ser_agent.text import is_writable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ser_agent.commands import CommandDesk
    from ser_agent.sinks.mqtt_topics import Publication, Topics

log = logging.getLogger(__name__)

Transaction: TypeAlias = "str | int | None"

LONGEST_BYTES = 1024
LONGEST_TRANSACTION = 64
BURST = 20
"""Commands that may come at once."""
PER_S = 2.0
"""Commands a second that may come for ever."""
SUBSCRIPTIONS: Final = (LISTEN_SET, THRESHOLD_SET, f"{REQUESTS}+")
KINDS: Final[Mapping[str, Command]] = {"health_check": HealthCheck(), "reload": Reload(), "restart": Restart()}
_SETTERS: Final = {LISTEN_SET: "listen", THRESHOLD_SET: "threshold"}
_SWITCH: Final = {b"ON": SetListening(on=True), b"OFF": SetListening(on=False)}
_NAME = re.compile(r"[a-z][a-z_]{0,31}")


class BadCommand(ValueError):  # noqa: N818 - an occurrence, not a mistake of ours
    """A command that means nothing: the message says why. Its transaction is known where it has one."""

    def __init__(self, reason: str, transaction: Transaction = None) -> None:
        super().__init__(reason)
        self.transaction = transaction


def interpret(tail: str, payload: bytes) -> tuple[Command, Transaction]:
    """What a message on a topic of commands asks for.

    Args:
        tail: the topic behind base topic and site.
        payload: as it came.

    Raises:
        BadCommand: it is malformed, too long or out of range, or there is no such command.
    """
    if len(payload) > LONGEST_BYTES:
        raise BadCommand(f"{len(payload)} bytes are too many: {LONGEST_BYTES} at most")
    if tail == LISTEN_SET:
        if payload not in _SWITCH:
            raise BadCommand("expected ON or OFF")
        return _SWITCH[payload], None
    if tail == THRESHOLD_SET:
        return SetThreshold(_threshold(payload)), None
    name = tail.removeprefix(REQUESTS)
    transaction = _transaction(payload)
    if name not in KINDS:
        raise BadCommand(f"no such command; there are {', '.join(KINDS)}", transaction)
    return KINDS[name], transaction


def _threshold(payload: bytes) -> float:
    value = _parsed(payload)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0.0 <= value <= 1.0:
        raise BadCommand("expected a number from 0 to 1")
    return round(float(value), 4)


def _transaction(payload: bytes) -> Transaction:
    if not payload:
        return None
    fields = _parsed(payload)
    if not isinstance(fields, dict):
        raise BadCommand('expected nothing, or a JSON object such as {"transaction": "1"}')
    transaction = fields.get("transaction")
    whole = isinstance(transaction, int) and not isinstance(transaction, bool) and abs(transaction) < 2**53
    short = isinstance(transaction, str) and len(transaction) <= LONGEST_TRANSACTION and is_writable(transaction)
    if not (transaction is None or whole or short):
        raise BadCommand(f"transaction: expected a text of at most {LONGEST_TRANSACTION} characters, or a number")
    if unknown := fields.keys() - {"transaction"}:
        raise BadCommand(f"unknown key {min(unknown)[:32]!r}", transaction)
    return transaction


def _parsed(payload: bytes) -> object:
    try:
        return json.loads(payload.decode(), parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise BadCommand("not UTF-8 text") from error
    except (ValueError, RecursionError) as error:
        raise BadCommand("not JSON") from error


def _refuse(constant: str) -> object:
    raise ValueError(constant)


class Allowance:
    """A token bucket: so many at once, so many a second for ever."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with a full bucket.

        Args:
            clock: monotonic time in seconds.
        """
        self._clock = clock
        self._tokens = float(BURST)
        self._since_s = clock()

    def take(self) -> bool:
        """Whether one more may come; it is then counted."""
        now_s = self._clock()
        self._tokens = min(float(BURST), self._tokens + PER_S * (now_s - self._since_s))
        self._since_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    @property
    def full(self) -> bool:
        """Whether, with the one just taken, none had come for a while."""
        return self._tokens >= BURST - 1.0


class CommandGate:
    """Lets commands through to the agent; what is wrong, retained or too much goes no further, and is told.

    In the courier's thread only, but for the answers.
    """

    def __init__(
        self,
        topics: Topics,
        desk: CommandDesk,
        respond: Callable[[Publication], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the gate.

        Args:
            topics: renders responses.
            desk: where the agent takes commands.
            respond: publishes a response; from any thread.
            clock: monotonic time in seconds.
        """
        self._topics = topics
        self._desk = desk
        self._respond = respond
        self._allowance = Allowance(clock)
        self._too_many = 0
        self._retained_told: set[str] = set()

    def take(self, tail: str, payload: bytes, *, retained: bool) -> None:
        """Heed a message.

        Args:
            tail: its topic behind base topic and site.
            payload: as it came.
            retained: whether the broker had kept it: then nobody asks for it now.
        """
        name = _SETTERS.get(tail) or tail.removeprefix(REQUESTS)
        if retained:
            self._tell_retained(tail)
        elif self._allowance.take():
            self._tell_flood()
            self._heed(tail, name, payload)
        else:
            self._too_many += 1
            if self._too_many == 1:
                log.warning("commands come too fast: further ones are ignored until they cease")
                self._answer(name, Reply(error="too many commands: wait a moment"), None)

    def _heed(self, tail: str, name: str, payload: bytes) -> None:
        try:
            command, transaction = interpret(tail, payload)
        except BadCommand as fault:
            log.warning("command %.40r ignored: %s", name, fault)
            self._answer(name, Reply(error=str(fault)), fault.transaction)
            return
        if tail in _SETTERS:
            self._desk.submit(command, lambda reply: self._answer_errors(name, reply))
        else:
            log.log(logging.DEBUG if command == HealthCheck() else logging.INFO, "asked to %s", name)
            self._desk.submit(command, lambda reply: self._answer(name, reply, transaction))

    def _answer(self, name: str, reply: Reply, transaction: Transaction) -> None:
        if _NAME.fullmatch(name):  # a name that could be a command's: whoever mistyped one wants to know
            self._respond(self._topics.response(name, reply, transaction))

    def _answer_errors(self, name: str, reply: Reply) -> None:
        """What went well is told by the state's topic."""
        if reply.error is not None:
            self._answer(name, reply, None)

    def _tell_retained(self, tail: str) -> None:
        tail = tail if tail in _SETTERS else REQUESTS
        if tail not in self._retained_told:
            self._retained_told.add(tail)
            log.warning("a retained command on %s is ignored: publish commands without the retain flag", tail)

    def _tell_flood(self) -> None:
        if self._too_many and self._allowance.full:
            log.warning("%d commands were ignored", self._too_many)
            self._too_many = 0
