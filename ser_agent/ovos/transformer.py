"""OpenVoiceOS's audio transformer: how a command was said goes into the context of its text."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, Final

from ovos_bus_client.message import Message
from ovos_config.config import Configuration
from ovos_plugin_manager.templates.transformers import AudioTransformer
from ovos_utils.log import LOG

from ser_agent.errors import ConfigError
from ser_agent.ovos.judges import MqttJudge, ProcessJudge
from ser_agent.ovos.settings import TRANSFORMER, TransformerOptions, merged, read
from ser_agent.pcm import PcmFormat

if TYPE_CHECKING:
    from concurrent.futures import Future

    from ser_agent.ovos.judges import Ear

CHUNK_SAMPLES = 1024
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
        pcm = PcmFormat(self.sample_rate, self.sample_width, self.channels)
        if not pcm.usable:
            raise ConfigError(f"{name}: sound of {pcm} cannot be read")
        self._deadline_s = options.deadline_ms / 1000
        self._lock = threading.Lock()
        self._before: deque[bytes] = deque(maxlen=_chunks_in(PREROLL_S, pcm))
        self._ear: Ear | None = None
        if options.classifier == "process":
            self._judge: ProcessJudge | MqttJudge = ProcessJudge(options.config, pcm)
        else:
            self._judge = MqttJudge(options.agent, pcm)

    @property
    def ready(self) -> bool:
        """Whether commands are heard: the model is loaded."""
        return self._judge.ready

    def on_audio(self, audio_data: bytes) -> bytes:
        """Keep a moment of what is no speech yet."""
        with self._lock:
            self._before.append(bytes(audio_data))
        return audio_data

    def on_speech(self, audio_data: bytes) -> bytes:
        """Hear what is said; a pause in it is made use of."""
        with self._lock:
            if self._ear is None:
                self._ear = self._judge.begin()
                for chunk in self._before:
                    self._feed(chunk)
                self._before.clear()
            self._feed(bytes(audio_data))
        return audio_data

    def transform(self, audio_data: bytes) -> tuple[bytes, dict[str, Any]]:
        """The command has ended: tell how it was said, if that is known in time.

        Args:
            audio_data: one chunk that was read after the command; given back as it is.
        """
        deadline_s = time.monotonic() + self._deadline_s
        with self._lock:
            ear, self._ear = self._ear, None
            self._before.clear()
        told = None if ear is None else ear.finish()
        self.reset()
        if told is None:
            return audio_data, {}
        try:
            emotion = told.result(max(0.0, deadline_s - time.monotonic()))
        except FutureTimeoutError:
            LOG.info("the emotion of a command was not known in time")
            told.add_done_callback(self._tell_late)
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

    def _feed(self, chunk: bytes) -> None:
        if self._ear is not None:
            self._ear.feed(chunk)


def _chunks_in(duration_s: float, pcm: PcmFormat) -> int:
    """So many of the listener's chunks, of 1024 samples as a rule."""
    return max(1, round(duration_s * pcm.rate / CHUNK_SAMPLES))
