"""Events on disk between an agent that dies and a broker that is away: all of them arrive, in order."""

from __future__ import annotations

import json
import logging
import signal
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from support.agent import AgentProcess
from support.command_line import command_within
from support.events import an_event
from support.faults import loud_file
from support.mqtt import Listener, Mosquitto, free_port, make_sink, opened, wait_until
from support.third_party import install

from ser_agent.sinks.outbox_database import count_waiting
from ser_agent.state import StateFile, state_of_another

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from support.command_line import Outcome

    from ser_agent.sinks.mqtt import MqttSink

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

PATIENCE_S = 60.0
EVENTS = 8


def agent_config(port: int, folder: Path) -> dict[str, Any]:
    """An agent that hears utterances without end, far faster than in real time."""
    return {
        "site": "attic",
        "stats_interval_s": 1.0,
        "source": {"type": "files", "paths": [str(loud_file(folder, 3))], "loop": True},
        "vad": {"type": "energy"},
        "classifier": {"type": "cheerful"},
        "sinks": [{"type": "mqtt", "port": port, "outbox": "disk", "max_events": 100_000, "retry_max_s": 0.2}],
    }


@pytest.fixture
def cheerful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier that needs no model, for the processes that a test starts."""
    install(tmp_path / "site")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))


def outbox_of(agent: AgentProcess) -> Path:
    path = state_of_another(agent.config, agent.config.parent / "state").path
    assert path is not None
    return path.with_suffix(".mqtt.outbox.db")


def ids_in(path: Path) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        payloads = connection.execute("SELECT payload FROM waiting ORDER BY number").fetchall()
    return [json.loads(payload)["id"] for (payload,) in payloads]


@pytest.mark.usefixtures("cheerful")
def test_an_agent_that_is_killed_during_an_outage_of_the_broker_delivers_everything_after_it(
    mosquitto: str, tmp_path: Path
) -> None:
    broker = Mosquitto(mosquitto, tmp_path)
    with broker, Listener(broker.port) as listener:
        broker.stop()
        with AgentProcess(tmp_path, agent_config(broker.port, tmp_path)) as agent:
            path = outbox_of(agent)
            wait_until(lambda: count_waiting(path) >= EVENTS, f"events wait on disk:\n{agent.log}", PATIENCE_S)
            agent.send(signal.SIGKILL)
            agent.wait()
            waiting = ids_in(path)
            assert len(waiting) >= EVENTS
            broker.start()
            agent.start()
            wait_until(lambda: len(listener.event_ids()) > len(waiting), f"they arrive:\n{agent.log}", PATIENCE_S)
            assert f"{len(waiting)} events wait from before" in agent.log
            wait_until(lambda: listener.on("/stats"), "it tells how it is doing", PATIENCE_S)
            agent.stop()
    assert listener.event_ids()[: len(waiting)] == waiting, "those of before come first, in order"
    stats = listener.on("/stats")[-1].fields
    assert stats["lost_by_sink"] == {"mqtt": 0}
    assert "mqtt outbox" in stats["queues"]  # type: ignore[operator]


@pytest.mark.usefixtures("cheerful")
@pytest.mark.long
def test_an_agent_that_is_killed_while_it_delivers_repeats_a_few_events_and_loses_none(
    broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    with AgentProcess(tmp_path, agent_config(broker.port, tmp_path)) as agent:
        path = outbox_of(agent)
        for _ in range(5):
            heard = len(listener.event_ids())
            wait_until(partial(has_heard, listener, heard + 5), f"events arrive:\n{agent.log}", PATIENCE_S)
            agent.send(signal.SIGKILL)
            agent.wait()
            left = ids_in(path)
            agent.start()
            wait_until(partial(has_heard_all, listener, left), f"what was left arrives:\n{agent.log}", PATIENCE_S)
            assert [known for known in listener.event_ids() if known in left] == left, "in order"
        agent.stop()
    assert all(heard.fields["lost_by_sink"] == {"mqtt": 0} for heard in listener.on("/stats"))


def has_heard(listener: Listener, count: int) -> bool:
    return len(listener.event_ids()) > count


def has_heard_all(listener: Listener, ids: Iterable[str]) -> bool:
    return set(ids) <= set(listener.event_ids())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateFile]:
    state = StateFile(tmp_path / "state.json")
    yield state
    state.close()


def test_closed_in_an_outage_it_keeps_events_for_the_next_start_and_says_so(
    mosquitto: str, tmp_path: Path, state: StateFile, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    broker = Mosquitto(mosquitto, tmp_path)
    with opened(make_sink(broker.port, tmp_path, state=state, outbox="disk")) as sink:
        for number in range(5):
            sink.publish(an_event(number))
        assert sink.waiting() == 5
    assert sink.lost() == 0
    assert "5 events wait on disk for the next start" in caplog.text
    with broker, Listener(broker.port) as listener:
        with opened(make_sink(broker.port, tmp_path, state=state, outbox="disk")) as sink:
            sink.publish(an_event(5))
            sink.flush(PATIENCE_S)
            wait_until(lambda: len(listener.event_ids()) == 6, "all arrive", PATIENCE_S)
        assert listener.event_ids() == [an_event(number).id for number in range(6)]


def test_what_has_become_too_old_in_an_outage_is_dropped_and_counted(
    mosquitto: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Mosquitto(mosquitto, tmp_path)
    with opened(make_sink(broker.port, tmp_path, max_age_s=0.2)) as sink:
        sink.publish(an_event(0))
        sink.publish(an_event(1))
        wait_until(lambda: sink.lost() == 2 or sink.waiting() == 0, "they become too old", PATIENCE_S)
        with broker, Listener(broker.port) as listener:
            wait_until(lambda: arrives(sink, listener), "a fresh event arrives", PATIENCE_S)
            assert an_event(0).id not in listener.event_ids()
    assert sink.lost() >= 2
    assert caplog.text.count("have become too old") >= 1


def arrives(sink: MqttSink, listener: Listener) -> bool:
    """Whether an event got through that was fresh a moment ago."""
    sink.publish(an_event(2))
    sink.flush(0.5)
    return an_event(2).id in listener.event_ids()


@pytest.fixture
def checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Any], Outcome]:
    """``ser-agent check`` of an agent with one MQTT sink."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    config = tmp_path / "agent.yaml"

    def check(outbox: str) -> Outcome:
        config.write_text(json.dumps({"site": "test", "sinks": [{"type": "mqtt", "outbox": outbox}]}))
        return command_within(capsys)("check", "--config", config)

    return check


def test_check_tells_how_many_events_wait(checked: Callable[[str], Outcome], tmp_path: Path) -> None:
    path = state_of_another(tmp_path / "agent.yaml", tmp_path / "state").path
    assert path is not None
    file = path.with_suffix(".mqtt.outbox.db")
    assert f"sink mqtt: 0 events wait in {file}\n" in checked("disk").out
    assert not file.exists(), "looking makes nothing"
    state = StateFile(path)
    with opened(make_sink(free_port(), tmp_path, state=state, outbox="disk")) as sink:
        for number in range(3):
            sink.publish(an_event(number))
        assert f"sink mqtt: 3 events wait in {file}\n" in checked("disk").out, "also while it is used"
    state.close()
    assert checked("disk").code == 0
    assert "events wait" not in checked("memory").out
    file.write_text("no database")
    outcome = checked("disk")
    assert (outcome.code, outcome.out.count("NOT OK: outbox")) == (69, 1)
