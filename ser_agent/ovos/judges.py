"""Who hears the emotion for OpenVoiceOS: a classifier in its own process, or an agent over MQTT."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ser_agent.assistants.hearing import verdict_of
from ser_agent.audio import AudioFrame, Utterance
from ser_agent.endpointing import Endpointer
from ser_agent.ports import NON_SPEECH, PluginContext
from ser_agent.segmenter import Segmenter, SegmenterOptions
from ser_agent.vads.webrtc import WebRtcVad
from ser_agent.voices.mqtt_watch import MqttWatch

if TYPE_CHECKING:
    from ser_agent.audio import Samples
    from ser_agent.ovos.settings import AgentOptions

log = logging.getLogger(__name__)

EVENTS_KEPT = 16
EARLY_S = 1.0
"""What an agent hears may begin or end that much apart from what the listener takes for speech."""


@dataclass(frozen=True, slots=True)
class Speech:
    """A command, as the listener recorded it.

    Attributes:
        samples: int16, shape ``(n,)``, mono at ``SAMPLE_RATE``, with some pause at its end.
        began_s: when it began, monotonic seconds.
    """

    samples: Samples
    began_s: float


class ProcessJudge:
    """A classifier in this process: one command at a time, in a thread that nobody waits for too long."""

    def __init__(self, config: str | None) -> None:
        """Begin to load the model in the background.

        Args:
            config: the agent's configuration file; None for the defaults.

        Raises:
            ConfigError: something is wrong with it.
        """
        from ser_agent.app import Workshop  # noqa: PLC0415 - brings all parts
        from ser_agent.config import load  # noqa: PLC0415 - likewise

        loaded = load(None if config is None else Path(config).expanduser())
        self._classifier = Workshop(loaded).classifier()
        self._top = loaded.config.classifier.top
        self._min_confidence = loaded.config.classifier.min_confidence
        vad = WebRtcVad(WebRtcVad.Options(), PluginContext(site="ovos", base_dir=Path.cwd()))
        self._endpointer = Endpointer(vad, Segmenter(SegmenterOptions(), WebRtcVad.Options().threshold))
        self._calls: SimpleQueue[tuple[Speech, Future[dict[str, Any] | None]] | None] = SimpleQueue()
        self._current: Future[dict[str, Any] | None] = Future()
        self._thread = threading.Thread(target=self._work, name="ser-agent", daemon=True)
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether the model is loaded and nothing is being classified."""
        return self._current.done()

    def ask(self, speech: Speech) -> Future[dict[str, Any] | None]:
        """Have a command classified; None where nobody speaks in it, or it would have to wait for another one."""
        future: Future[dict[str, Any] | None] = Future()
        if not self.ready:
            future.set_result(None)
            return future
        self._current = future
        self._calls.put((speech, future))
        return future

    def close(self) -> None:
        """Let the model go, once it is idle."""
        self._calls.put(None)

    def _work(self) -> None:
        try:
            model = self._classifier.load()
        except Exception:
            log.exception("the emotion of commands will not be heard")
            return
        self._current.set_result(None)
        min_confidence = model.threshold(self._min_confidence)
        while (call := self._calls.get()) is not None:
            speech, future = call
            try:
                future.set_result(self._judge(speech, min_confidence))
            except Exception:
                log.exception("a command was not classified")
                future.set_result(None)
            del call, speech, future
        self._classifier.close()

    def _judge(self, speech: Speech, min_confidence: float) -> dict[str, Any] | None:
        frame = AudioFrame(speech.samples, 0, speech.began_s)
        found = [*self._endpointer.feed(frame), *self._endpointer.finish("end_of_stream")]
        utterances = [output for output in found if isinstance(output, Utterance)]
        if not utterances:
            return None
        answers = zip(utterances, self._classifier.classify(utterances), strict=True)
        verdict = verdict_of([(said.duration_s, answer) for said, answer in answers if answer is not NON_SPEECH])
        return None if verdict is None else verdict.in_words(self._top, min_confidence)


class MqttJudge:
    """An agent that hears the same room: its event of the command is the answer."""

    def __init__(self, agent: AgentOptions) -> None:
        """Begin to connect in the background.

        Args:
            agent: where it publishes.

        Raises:
            SinkError: a file that the options name is missing or useless.
        """
        self._lock = threading.Lock()
        self._events: deque[tuple[float, float, dict[str, Any]]] = deque(maxlen=EVENTS_KEPT)
        self._asked: tuple[float, Future[dict[str, Any] | None]] | None = None
        endpoint = agent.reached_as("ser-agent-ovos-transformer")
        self._watch = MqttWatch(endpoint, agent.protocol, [agent.topic("event")], self._take, lambda: None)
        self._watch.start()

    def ask(self, speech: Speech) -> Future[dict[str, Any] | None]:
        """Wait for the event of a command, or take the one that has come already."""
        future: Future[dict[str, Any] | None] = Future()
        with self._lock:
            if self._asked is not None and not self._asked[1].done():
                self._asked[1].set_result(None)
            self._asked = (speech.began_s, future)
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
