"""The agent leaves out what is heard while the assistant speaks, and the books say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.life import Life, Radio
from support.mqtt import Listener, Mosquitto, wait_until
from support.rig import PAUSE, SPEECH, Rig

from ser_agent.app import Workshop, assemble
from ser_agent.assistant_voice import AssistantVoice, Speaking
from ser_agent.audio import AudioFrame
from ser_agent.commands import CommandDesk
from ser_agent.config import load
from ser_agent.errors import ConfigError
from ser_agent.sources.files import FilesSource
from ser_agent.state import StateFile
from ser_agent.testing import FakeClassifier, context, frames_of
from ser_agent.vads.cascade import CascadeVad
from ser_agent.voices.linux_voice_assistant import LinuxVoiceAssistantVoice
from ser_agent.voices.mqtt import HermesVoice

if TYPE_CHECKING:
    from collections.abc import Callable


CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"


class Watch:
    """Tells what the test says."""

    def __init__(self) -> None:
        self.tell: Callable[[Speaking], None] | None = None

    def open(self, tell: Callable[[Speaking], None]) -> None:
        self.tell = tell
        tell(Speaking(on=True, at_s=999.0))
        tell(Speaking(on=False, at_s=1001.0))

    def close(self) -> None:
        self.tell = None


def heard_at(second: float) -> list[AudioFrame]:
    """A sentence of one second and a pause, heard at a certain time."""
    frames = frames_of(np.concatenate([SPEECH, PAUSE]))
    first = round(second * 16_000)
    return [AudioFrame(frame.samples, first + frame.offset, second + frame.captured_at) for frame in frames]


def test_what_the_assistant_says_is_left_out_and_counted_and_the_rest_is_not() -> None:
    watch = Watch()
    rig = Rig(source=Radio([*heard_at(1000.0), *heard_at(1010.0)]), assistant=watch, voice=AssistantVoice())
    with Life(rig) as life:
        wait_until(lambda: rig.record.events, "the other sentence is published")
        assert watch.tell is not None
    books = life.agent.books
    assert books.dropped == {"assistant_speaking": 1}
    assert (books.begun, books.published, books.open) == (2, 1, 0)
    assert rig.record.events[0].offset_s == pytest.approx(1010.0, abs=0.5)
    assert watch.tell is None


def loaded(folder: Path, **assistant: Any) -> Any:  # noqa: ANN401 - plain values
    file = folder / "agent.yaml"
    file.write_text(json.dumps({"assistant": assistant}))
    return load(file)


def test_the_configuration_names_the_assistant(tmp_path: Path) -> None:
    assert Workshop(load()).assistant() is None
    workshop = Workshop(loaded(tmp_path, type="linux-voice-assistant", timeout_s=5.0))
    assert isinstance(workshop.assistant(), LinuxVoiceAssistantVoice)
    voice = workshop.voice()
    voice.heed(Speaking(on=True, at_s=0.0))
    assert voice._timeout_s == 5.0


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"type": "linux-voice-assistent"}, "linux-voice-assistant"),
        ({"timeout_s": 3.0}, "type"),
        ({"type": "mqtt"}, "assistant.topic"),
        ({"type": "mqtt", "topic": "a/#"}, "assistant.topic"),
        ({"type": "hermes", "tail_ms": -1}, "assistant.tail_ms"),
        ({"type": "linux-voice-assistant", "uri": "localhost:6055"}, "assistant.uri"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_file_line_and_key(
    tmp_path: Path, keys: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint) as error:
        loaded(tmp_path, **keys)
    assert "agent.yaml:1" in str(error.value)


@pytest.mark.broker
def test_a_running_agent_hears_nothing_while_a_topic_says_that_the_assistant_speaks(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    listener.say("assistant", "ON", retain=True)
    topic = {"type": "mqtt", "host": "127.0.0.1", "port": broker.port, "topic": "assistant"}
    speaking_for_ever = FilesSource.Options(paths=(str(CLIP),), realtime=True, loop=True)
    source = FilesSource(speaking_for_ever, context())
    detector = CascadeVad(CascadeVad.Options(), context())
    watch = Workshop(loaded(tmp_path, **topic)).assistant()
    with Life(Rig(source=source, detector=detector, assistant=watch)) as life:
        wait_until(lambda: life.agent.books.dropped.get("assistant_speaking"), "it is left out", 60.0)
        before = life.agent.books.published
        listener.say("assistant", "OFF", retain=True)
        wait_until(lambda: life.agent.books.published > before, "people are heard again", 60.0)


def test_what_the_configuration_names_becomes_a_part_of_the_agent(tmp_path: Path) -> None:
    config = loaded(tmp_path, type="hermes", tail_ms=700)
    parts = assemble(config, FakeClassifier(), StateFile(), CommandDesk(lambda _: None))
    assert isinstance(parts.assistant, HermesVoice)
    assert parts.voice._tail_s == 0.7
