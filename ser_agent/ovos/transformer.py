"""OpenVoiceOS's audio transformer: how a command was said goes into the context of its text."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ovos_bus_client.message import Message
from ovos_config.config import Configuration
from ovos_plugin_manager.templates.transformers import AudioTransformer
from ovos_utils.log import LOG

from ser_agent.audio import SAMPLE_RATE
from ser_agent.errors import ConfigError
from ser_agent.ovos.judges import MqttJudge, ProcessJudge, Speech
from ser_agent.ovos.settings import TRANSFORMER, TransformerOptions, merged, read
from ser_agent.pcm import PcmDecoder, PcmFormat

if TYPE_CHECKING:
    from concurrent.futures import Future

LONGEST_S = 10.0
"""Of a longer command the end is classified."""
PREROLL_S = 0.5
"""What the listener hears before it is sure of speech, and then does not count as such."""
LATE: Final = "ser_agent.emotion.late"
"""Message on the bus with an emotion that came after the deadline."""

EmotionTransformerConfig: Final = {TRANSFORMER: [{"classifier": "process"}, {"classifier": "mqtt"}]}
"""Configurations to choose from."""


class EmotionTransformer(AudioTransformer):  # type: ignore[misc]  # untyped to mypy: an extra
    """Adds ``emotion`` to the context of ``recognizer_loop:utterance``, within a deadline."""

    def __init__(self, name: str = TRANSFORMER, priority: int = 50, config: dict[str, Any] | None = None) -> None:
        """Read the configuration and begin to load the model, or to connect, in the background.

        Args:
            name: of the plugin; the listener gives none.
            priority: among the transformers.
            config: the plugin's section; None for OpenVoiceOS's own configuration.

        Raises:
            ConfigError: something is wrong with it.
        """
        super().__init__(name, priority, merged(dict(Configuration())) if config is None else config)
        options = read(TransformerOptions, self.config, name)
        self._format = PcmFormat(self.sample_rate, self.sample_width, self.channels)
        if not self._format.usable:
            raise ConfigError(f"{name}: sound of {self._format} cannot be read")
        self._deadline_s = options.deadline_ms / 1000
        self._lock = threading.Lock()
        self._before = _Recent(self._bytes(PREROLL_S))
        self._speech = _Recent(self._bytes(LONGEST_S))
        self._judge = ProcessJudge(options.config) if options.classifier == "process" else MqttJudge(options.agent)

    def on_audio(self, audio_data: bytes) -> bytes:
        """Keep a moment of what is no speech yet."""
        with self._lock:
            self._before.add(audio_data)
        return audio_data

    def on_speech(self, audio_data: bytes) -> bytes:
        """Keep what is said, the latest ten seconds of it."""
        with self._lock:
            for chunk in self._before.take():
                self._speech.add(chunk)
            self._speech.add(audio_data)
        return audio_data

    def transform(self, audio_data: bytes) -> tuple[bytes, dict[str, Any]]:
        """The command has ended: tell how it was said, if that is known in time.

        Args:
            audio_data: one chunk that was read after the command; given back as it is.
        """
        asked_s = time.monotonic()
        with self._lock:
            recorded = b"".join(self._speech.take())
            self._before.take()
        self.reset()
        if not recorded:
            return audio_data, {}
        samples = PcmDecoder(self._format).decode(recorded, last=True)
        future = self._judge.ask(Speech(np.array(samples), asked_s - len(samples) / SAMPLE_RATE))
        try:
            emotion = future.result(max(0.0, asked_s + self._deadline_s - time.monotonic()))
        except FutureTimeoutError:
            LOG.info("the emotion of a command was not known in time")
            future.add_done_callback(self._tell_late)
            return audio_data, {}
        return audio_data, {} if emotion is None else {"emotion": emotion}

    def default_shutdown(self) -> None:
        """Let everything go."""
        self._judge.close()

    def shutdown(self) -> None:
        """The same, as the listener calls it."""
        self.default_shutdown()

    def _tell_late(self, future: Future[dict[str, Any] | None]) -> None:
        emotion = future.result()
        if emotion is not None and self.bus is not None:
            self.bus.emit(Message(LATE, emotion))

    def _bytes(self, duration_s: float) -> int:
        return round(duration_s * self._format.rate) * self._format.width * self._format.channels


class _Recent:
    """The latest chunks, up to so many bytes in all."""

    def __init__(self, most_bytes: int) -> None:
        self._chunks: deque[bytes] = deque()
        self._most = most_bytes
        self._bytes = 0

    def add(self, chunk: bytes) -> None:
        self._chunks.append(bytes(chunk))
        self._bytes += len(chunk)
        while self._bytes > self._most and len(self._chunks) > 1:
            self._bytes -= len(self._chunks.popleft())

    def take(self) -> list[bytes]:
        taken = list(self._chunks)
        self._chunks.clear()
        self._bytes = 0
        return taken
