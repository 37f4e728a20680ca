"""Who hears the emotion for OpenVoiceOS: a classifier in its own process, or an agent over MQTT."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from ser_agent.assistants.hearing import Hearing
from ser_agent.audio import Utterance
from ser_agent.voices.mqtt_watch import MqttWatch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ser_agent.assistants.hearing import Verdict
    from ser_agent.endpointing import Endpointer
    from ser_agent.ovos.settings import AgentOptions
    from ser_agent.pcm import PcmFormat
    from ser_agent.ports import Answer
    from ser_agent.segmenter import SegmenterOutput

log = logging.getLogger(__name__)

Told: TypeAlias = "Future[dict[str, Any] | None]"
"""What a command's context is to tell; None where there is nothing to tell."""
EVENTS_KEPT = 16
EARLY_S = 1.0
"""What an agent hears may begin or end that much apart from what the listener takes for speech."""


class Ear(Protocol):
    """Hears one command."""

    def feed(self, raw: bytes) -> None:
        """Take the next sound; returns at once."""

    def finish(self) -> Told:
        """The command has ended."""


class ProcessJudge:
    """A classifier in this process. One thread hears and classifies while the command goes on."""

    def __init__(self, config: str | None, pcm: PcmFormat) -> None:
        """Begin to load the model in the background.

        Args:
            config: the agent's configuration file; None for the defaults.
            pcm: how the listener's sound is written.

        Raises:
            ConfigError: something is wrong with the file.
        """
        from ser_agent.app import Workshop  # noqa: PLC0415 - brings all parts
        from ser_agent.config import load  # noqa: PLC0415 - likewise

        loaded = load(None if config is None else Path(config).expanduser())
        self._config = loaded.config
        self._workshop = Workshop(loaded)
        self._classifier = self._workshop.classifier()
        self._pcm = pcm
        self._min_confidence = 0.0
        self._spare: list[Endpointer] = []
        self._calls: SimpleQueue[Hearing | None] = SimpleQueue()
        self._loaded = threading.Event()
        threading.Thread(target=self._work, name="ser-agent", daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether the model is loaded."""
        return self._loaded.is_set()

    def begin(self) -> Ear | None:
        """Hear a command; None while the model is being loaded, or where it can't be."""
        return _ProcessEar(Hearing(self, self._pcm), self) if self.ready else None

    def close(self) -> None:
        """Let the model go, once it is idle."""
        self._calls.put(None)

    def in_words(self, verdict: Verdict) -> dict[str, Any]:
        """What a command's context is to tell."""
        return verdict.in_words(self._config.classifier.top, self._min_confidence)

    def schedule(self, hearing: Hearing) -> None:
        """Have a command hear what waits for it; from any thread."""
        self._calls.put(hearing)

    def lend(self) -> Endpointer:
        """An endpointer that has heard nothing yet."""
        if self._spare:
            return self._spare.pop()
        return self._workshop.endpointer()

    def take_back(self, endpointer: Endpointer) -> None:
        """Keep it for the next command."""
        self._spare[:] = [endpointer]

    def handle(self, hearing: Hearing, outputs: Iterable[SegmenterOutput]) -> None:
        """Classify the utterances."""
        for output in outputs:
            if isinstance(output, Utterance):
                hearing.expect()
                hearing.take_answer(output, self._classified(output))

    def _classified(self, utterance: Utterance) -> Answer | None:
        try:
            (answer,) = self._classifier.classify([utterance])
        except Exception:
            log.exception("a command was not classified")
            return None
        return answer

    def _work(self) -> None:
        try:
            model = self._classifier.load()
        except Exception:
            log.exception("the emotion of commands will not be heard")
            return
        self._min_confidence = model.threshold(self._config.classifier.min_confidence)
        self._loaded.set()
        while (hearing := self._calls.get()) is not None:
            try:
                hearing.hear()
            except Exception:
                log.exception("a command was not heard")
                hearing.give_up()
            del hearing
        self._classifier.close()


class _ProcessEar:
    def __init__(self, hearing: Hearing, judge: ProcessJudge) -> None:
        self._hearing = hearing
        self._judge = judge
        self.feed = hearing.feed

    def finish(self) -> Told:
        told: Told = Future()

        def tell(result: Future[Verdict | None]) -> None:
            verdict = result.result()
            told.set_result(None if verdict is None else self._judge.in_words(verdict))

        self._hearing.finish()
        self._hearing.result.add_done_callback(tell)
        return told


class MqttJudge:
    """An agent that hears the same room: its event of the command is the answer."""

    ready = True

    def __init__(self, agent: AgentOptions, pcm: PcmFormat) -> None:
        """Begin to connect in the background.

        Args:
            agent: where it publishes.
            pcm: how the listener's sound is written.

        Raises:
            SinkError: a file that the options name is missing or useless.
        """
        self._pcm = pcm
        self._lock = threading.Lock()
        self._events: deque[tuple[float, float, dict[str, Any]]] = deque(maxlen=EVENTS_KEPT)
        self._asked: tuple[float, Told] | None = None
        endpoint = agent.reached_as("ser-agent-ovos-transformer")
        self._watch = MqttWatch(endpoint, agent.protocol, [agent.topic("event")], self._take, lambda: None)
        self._watch.start()

    def begin(self) -> Ear | None:
        """A command begins."""
        return _MqttEar(self, self._pcm)

    def ask(self, began_s: float) -> Told:
        """Wait for the event of a command, or take the one that has come already.

        Args:
            began_s: when the command began, monotonic seconds.
        """
        future: Told = Future()
        with self._lock:
            if self._asked is not None and not self._asked[1].done():
                self._asked[1].set_result(None)
            self._asked = (began_s, future)
            for heard_from_s, heard_to_s, event in reversed(self._events):
                if self._answer(heard_from_s, heard_to_s, event):
                    break
        return future

    def close(self) -> None:
        """Take leave of the broker."""
        self._watch.stop()

    def _take(self, topic: str, payload: bytes, *, retained: bool) -> None:  # noqa: ARG002 - as the watch calls it
        event = json.loads(payload)
        now_s = time.monotonic()
        heard_to_s = now_s - event["latency_ms"] / 1000
        heard_from_s = heard_to_s - event["duration_s"] - EARLY_S
        with self._lock:
            self._events.append((heard_from_s, heard_to_s, event))
            self._answer(heard_from_s, heard_to_s, event)

    def _answer(self, heard_from_s: float, heard_to_s: float, event: dict[str, Any]) -> bool:
        """Answer with an event, where it is that of the command asked about."""
        if self._asked is None:
            return False
        began_s, future = self._asked
        if future.done() or heard_to_s < began_s or heard_from_s > time.monotonic():
            return False
        told = ("emotion", "confidence", "emotions", "duration_s", "id", "agent")
        future.set_result({name: event[name] for name in told})
        return True


class _MqttEar:
    def __init__(self, judge: MqttJudge, pcm: PcmFormat) -> None:
        self._judge = judge
        self._bytes_per_s = pcm.rate * pcm.width * pcm.channels
        self._bytes = 0

    def feed(self, raw: bytes) -> None:
        """The agent hears for itself; here it is only known how long the command is."""
        self._bytes += len(raw)

    def finish(self) -> Told:
        return self._judge.ask(time.monotonic() - self._bytes / self._bytes_per_s)
