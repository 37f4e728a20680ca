from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ovos_plugin_manager.audio_transformers import (
    find_audio_transformer_plugins,
    get_audio_transformer_configs,
    load_audio_transformer_plugin,
)
from ovos_utils.fakebus import FakeBus
from support.events import an_event
from support.mqtt import PATIENCE_S, Listener, Mosquitto, wait_until
from support.ovos import CHUNK_BYTES, listen
from support.rig import PAUSE

from ser_agent.app import Workshop
from ser_agent.audio_files import read_utterance
from ser_agent.errors import ConfigError
from ser_agent.ovos.judges import MqttJudge, ProcessJudge
from ser_agent.ovos.settings import TRANSFORMER, merged
from ser_agent.ovos.transformer import LATE, EmotionTransformer
from ser_agent.ports import NON_SPEECH
from ser_agent.testing import FakeClassifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ser_agent.audio import Utterance
    from ser_agent.ports import Answer

CLIP = Path(__file__).resolve().parents[1] / "data" / "1076_ITH_DIS_XX.opus"
SPEECH = read_utterance(CLIP)
COMMAND = np.concatenate([SPEECH, PAUSE[:12_000]])
SLOWEST_MS = 5000

Make = "Callable[..., EmotionTransformer]"


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., EmotionTransformer]]:
    """Makes transformers whose classifier answers as a function says, and waits until they are ready."""
    made: list[EmotionTransformer] = []
    file = tmp_path / "agent.yaml"
    file.write_text("vad: {type: webrtc}")

    def ready(answer: Callable[[Utterance], Answer] | None = None, **config: Any) -> EmotionTransformer:  # noqa: ANN401
        monkeypatch.setattr(Workshop, "classifier", lambda _: FakeClassifier(answer))
        transformer = EmotionTransformer(config={"deadline_ms": SLOWEST_MS, "config": str(file), **config})
        if "deadline_ms" not in config:
            transformer._deadline_s = PATIENCE_S  # more than a user may give it, and a busy machine may need
        made.append(transformer)
        judge = transformer._judge
        if isinstance(judge, ProcessJudge):
            wait_until(lambda: judge.ready, "the model is loaded")
        return transformer

    yield ready
    for transformer in made:
        transformer.shutdown()


def test_openvoiceos_finds_it_and_configurations_to_choose_from() -> None:
    assert find_audio_transformer_plugins()[TRANSFORMER] is EmotionTransformer
    assert load_audio_transformer_plugin(TRANSFORMER) is EmotionTransformer
    assert TRANSFORMER in get_audio_transformer_configs()[TRANSFORMER]


def test_the_context_of_a_command_tells_how_it_was_said(make: Callable[..., EmotionTransformer]) -> None:
    chunk, context = listen(make(), PAUSE, COMMAND)
    assert chunk == bytes(CHUNK_BYTES)
    assert context["emotion"]["emotion"] == "happy"
    assert context["emotion"]["emotions"][0] == {"label": "happy", "score": 0.7}
    json.dumps(context)


def test_one_command_after_another_is_heard_alone(make: Callable[..., EmotionTransformer]) -> None:
    lengths: list[float] = []

    def note(utterance: Utterance) -> Answer:
        lengths.append(utterance.duration_s)
        return {"happy": 1.0}

    transformer = make(note)
    for _ in range(2):
        _, context = listen(transformer, PAUSE, COMMAND)
        assert context
    assert lengths[0] == pytest.approx(lengths[1], abs=0.1)
    assert len(transformer.speech_feed) == len(transformer.noise_feed) == 0


def test_a_long_command_is_heard_to_its_end(make: Callable[..., EmotionTransformer]) -> None:
    lengths: list[float] = []

    def note(utterance: Utterance) -> Answer:
        lengths.append(utterance.duration_s)
        return {"happy": 1.0}

    sound = np.tile(SPEECH, 8)
    _, context = listen(make(note), PAUSE, sound)
    assert sum(lengths) == pytest.approx(len(sound) / 16_000, abs=1.5)
    assert context["emotion"]["duration_s"] == pytest.approx(sum(lengths), abs=0.01)


def test_an_emotion_that_is_late_holds_nobody_up_and_comes_over_the_bus(
    make: Callable[..., EmotionTransformer],
) -> None:
    may_go_on = threading.Event()

    def slow(_: Utterance) -> Answer:
        assert may_go_on.wait(PATIENCE_S)
        return {"happy": 1.0}

    bus = FakeBus()
    late: list[Any] = []
    transformer = make(slow, deadline_ms=20)
    transformer.bind(bus)
    bus.on(LATE, late.append)
    chunk, context = listen(transformer, PAUSE, COMMAND)
    assert (chunk, context) == (bytes(CHUNK_BYTES), {})
    _, context = listen(transformer, PAUSE, COMMAND)  # while the first is still being classified
    assert context == {}
    may_go_on.set()
    wait_until(lambda: late, "the late emotion comes")
    assert late[0].data["emotion"] == "happy"


def raising(_: Utterance) -> Answer:
    raise RuntimeError("no")


def no_voice(_: Utterance) -> Answer:
    return NON_SPEECH


@pytest.mark.parametrize("answer", [raising, no_voice])
def test_where_nothing_is_known_nothing_is_told(
    make: Callable[..., EmotionTransformer], answer: Callable[[Utterance], Answer]
) -> None:
    assert listen(make(answer), PAUSE, COMMAND)[1] == {}


@pytest.mark.parametrize("command", [PAUSE[:0], PAUSE, SPEECH[:1600]])
def test_silence_and_clicks_are_no_command(make: Callable[..., EmotionTransformer], command: Any) -> None:  # noqa: ANN401
    assert listen(make(), PAUSE, command)[1] == {}


def test_a_command_before_the_model_is_loaded_is_not_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    may_load = threading.Event()

    class Loading(FakeClassifier):
        def load(self) -> Any:  # noqa: ANN401 - the base's
            assert may_load.wait(PATIENCE_S)
            return super().load()

    monkeypatch.setattr(Workshop, "classifier", lambda _: Loading())
    transformer = EmotionTransformer(config={"deadline_ms": SLOWEST_MS})
    assert listen(transformer, PAUSE, COMMAND)[1] == {}
    may_load.set()
    transformer.shutdown()


@pytest.mark.model
@pytest.mark.timeout(180)
def test_the_embedded_model_hears_a_command() -> None:
    transformer = EmotionTransformer(config={"deadline_ms": SLOWEST_MS, "sample_rate": 16_000})
    judge = transformer._judge
    assert isinstance(judge, ProcessJudge)
    wait_until(lambda: judge.ready, "the model is loaded", 120.0)
    emotion: dict[str, Any] = {}

    def heard() -> bool:
        emotion.update(listen(transformer, PAUSE, COMMAND)[1].get("emotion", {}))
        return bool(emotion)

    wait_until(heard, "the command is heard", 60.0)
    transformer.shutdown()
    assert len(emotion["emotions"]) == 3
    assert emotion["confidence"] == emotion["emotions"][0]["score"]


@pytest.mark.broker
def test_an_agent_in_the_same_room_may_be_asked_over_mqtt(
    make: Callable[..., EmotionTransformer], broker: Mosquitto, listener: Listener
) -> None:
    agent = {"host": "127.0.0.1", "port": broker.port, "site": "kitchen"}
    transformer = make(classifier="mqtt", agent=agent)
    judge = transformer._judge
    assert isinstance(judge, MqttJudge)

    long_command = np.tile(COMMAND, 8)  # so that no pause of a busy machine is longer

    def publish(number: int) -> None:
        event = an_event(number, site="kitchen").model_dump(mode="json", by_alias=True)
        listener.say("ser-agent/kitchen/event", json.dumps({**event, "duration_s": 2.0}))

    def has_come(number: int) -> bool:
        return any(event["id"] == f"{number:026d}" for _, _, event in list(judge._events))

    def listens() -> bool:
        publish(0)
        return has_come(0)

    wait_until(listens, "it listens")
    publish(7)
    wait_until(lambda: has_come(7), "the event has come, and those before it")
    _, context = listen(transformer, PAUSE, long_command)
    assert context["emotion"]["emotion"] == "happy"
    assert context["emotion"]["agent"] == "kitchen"
    assert context["emotion"]["id"] == f"{7:026d}"
    judge._events.clear()
    later = threading.Timer(0.2, publish, [8])  # the agent needs a moment, too
    later.start()
    _, context = listen(transformer, PAUSE, long_command)
    later.join()
    assert context["emotion"]["id"] == f"{8:026d}"


@pytest.mark.broker
def test_an_event_of_long_ago_is_not_that_of_the_command(
    make: Callable[..., EmotionTransformer], broker: Mosquitto
) -> None:
    agent = {"host": "127.0.0.1", "port": broker.port}
    transformer = make(classifier="mqtt", agent=agent, deadline_ms=50)
    judge = transformer._judge
    assert isinstance(judge, MqttJudge)
    event = an_event().model_dump(mode="json", by_alias=True)
    long_ago_s = time.monotonic() - 60.0
    judge._events.append((long_ago_s - 2.0, long_ago_s, event))
    assert listen(transformer, PAUSE, COMMAND)[1] == {}


def test_both_places_of_the_configuration_count_and_the_newer_one_wins() -> None:
    core = {
        "listener": {
            "sample_rate": 48_000,
            "audio_transformers": {TRANSFORMER: {"deadline_ms": 111, "config": "a.yaml"}},
        },
        "audio_transformers": {TRANSFORMER: {"deadline_ms": 222}},
    }
    assert merged(core) == {"sample_rate": 48_000, "deadline_ms": 222, "config": "a.yaml"}
    assert merged({}) == {}


def test_openvoiceoss_own_configuration_file_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "mycroft"
    folder.mkdir()
    older = {"audio_transformers": {TRANSFORMER: {"deadline_ms": 321}}}
    newer = {TRANSFORMER: {"classifier": "mqtt"}}
    (folder / "mycroft.conf").write_text(json.dumps({"listener": older, "audio_transformers": newer}))
    code = (
        "from ovos_plugin_manager.audio_transformers import load_audio_transformer_plugin as load\n"
        f"plugin = load({TRANSFORMER!r})()\n"
        "print(plugin._deadline_s, type(plugin._judge).__name__)\nplugin.shutdown()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"XDG_CONFIG_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    assert done.stdout.splitlines()[-1] == "0.321 MqttJudge"


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"deadline_ms": -1}, "deadline_ms"),
        ({"deadline": 1}, "deadline: Extra inputs"),
        ({"classifier": "cloud"}, "classifier"),
        ({"sample_width": 9}, "cannot be read"),
        ({"classifier": "mqtt", "agent": {"site": "a/b"}}, r"agent\.site"),
    ],
)
def test_what_is_wrong_with_it_is_told_with_its_key(config: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=f"{TRANSFORMER}: .*{complaint}"):
        EmotionTransformer(config=config)
