"""Whatever happens to the broker or on the way to it: no event is lost, none overtakes another, nobody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.disk import mounted
from support.events import an_event
from support.mqtt import Listener, Mosquitto, make_sink, opened, wait_until
from support.proxy import Proxy

from ser_agent.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ser_agent.sinks.mqtt import MqttSink

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

PATIENCE_S = 60.0
WINDOW = 10


@pytest.fixture
def proxy(broker: Mosquitto) -> Iterator[Proxy]:
    """What the agent takes for the broker."""
    with Proxy(broker.port) as running:
        yield running


@pytest.fixture(params=["memory", "disk"])
def outbox(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Both kinds, as arguments of ``make_sink``."""
    state = StateFile(tmp_path / "state" / "agent.json")
    yield {"outbox": request.param, "state": state}
    state.close()


def ids(first: int, behind: int) -> list[str]:
    return [an_event(number).id for number in range(first, behind)]


def publish(sink: MqttSink, first: int, behind: int) -> None:
    for number in range(first, behind):
        sink.publish(an_event(number))


def have_arrived(listener: Listener, count: int) -> None:
    """Wait for events; then nothing is missing, and each came behind the one before it when it first came."""
    wait_until(lambda: len(listener.event_ids()) >= count, f"{count} events arrive", PATIENCE_S)
    assert listener.event_ids() == ids(0, count)


def all_is_settled(sink: MqttSink) -> None:
    wait_until(lambda: sink.waiting() == 0, "everything is acknowledged", PATIENCE_S)
    assert sink.lost() == 0


def under_way(sink: MqttSink) -> int:
    assert sink._courier is not None
    return len(sink._courier._under_way)


def test_a_broker_that_is_stopped_and_started_again_gets_everything(
    mosquitto: str, tmp_path: Path, outbox: dict[str, Any]
) -> None:
    broker = Mosquitto(mosquitto, tmp_path)
    with broker, Listener(broker.port) as listener, opened(make_sink(broker.port, tmp_path, **outbox)) as sink:
        publish(sink, 0, 20)
        have_arrived(listener, 20)
        all_is_settled(sink)
        broker.stop()
        publish(sink, 20, 60)
        assert sink.waiting() == 40
        broker.start()
        have_arrived(listener, 60)
        all_is_settled(sink)


def test_half_open_connections_are_given_up_after_twice_the_keep_alive_and_nothing_is_lost(
    broker: Mosquitto, listener: Listener, proxy: Proxy, tmp_path: Path, outbox: dict[str, Any]
) -> None:
    with opened(make_sink(proxy.port, tmp_path, **outbox, keepalive_s=1, protocol="5")) as sink:
        publish(sink, 0, 5)
        have_arrived(listener, 5)
        all_is_settled(sink)
        proxy.black_hole()
        before = proxy.connections
        publish(sink, 5, 100)
        assert under_way(sink) <= WINDOW
        wait_until(lambda: proxy.connections > before, "it notices, and connects anew", PATIENCE_S)
        assert sink.waiting() == 95
        proxy.heal()
        proxy.cut()
        have_arrived(listener, 100)
        all_is_settled(sink)


def test_a_slow_way_holds_up_nobody_and_no_more_is_under_way_than_may_be(
    listener: Listener, proxy: Proxy, tmp_path: Path
) -> None:
    proxy.slow_down(piece=512, pause_s=0.01)
    with opened(make_sink(proxy.port, tmp_path)) as sink:
        publish(sink, 0, 1)
        have_arrived(listener, 1)
        all_is_settled(sink)
        proxy.hold()
        publish(sink, 1, 101)
        assert sink.waiting() == 100, "publishing did not wait"
        wait_until(lambda: under_way(sink) == WINDOW, "as much is under way as may be", PATIENCE_S)
        proxy.let_pass()

        def all_arrive() -> bool:
            assert under_way(sink) <= WINDOW
            return len(listener.event_ids()) > 100

        wait_until(all_arrive, "all events arrive", PATIENCE_S)
        have_arrived(listener, 101)
        all_is_settled(sink)


def test_a_broker_that_refuses_every_connection_is_tried_until_it_does_not(
    listener: Listener, proxy: Proxy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.hang_up()
    with opened(make_sink(proxy.port, tmp_path, retry_max_s=0.02)) as sink:
        publish(sink, 0, 30)
        wait_until(lambda: proxy.connections > 10, "it tries again and again", PATIENCE_S)
        assert sink.waiting() == 30
        proxy.heal()
        have_arrived(listener, 30)
        all_is_settled(sink)
    refusals = [record for record in caplog.records if "closed the connection" in record.getMessage()]
    assert len(refusals) == 1, "it is told of once"


def test_killed_between_taking_an_event_and_acknowledging_it_a_broker_gets_it_again_with_the_same_id(
    broker: Mosquitto, listener: Listener, proxy: Proxy, tmp_path: Path, outbox: dict[str, Any]
) -> None:
    with opened(make_sink(proxy.port, tmp_path, **outbox)) as sink:
        publish(sink, 0, 1)
        have_arrived(listener, 1)
        all_is_settled(sink)
        proxy.swallow_answers()
        publish(sink, 1, 31)
        wait_until(lambda: len(listener.on("/event")) > 1, "an event arrives", PATIENCE_S)
        proxy.hang_up()
        listener._subscribed.clear()
        broker.kill()
        assert sink.waiting() == 30, "none was acknowledged"
        broker.start()
        assert listener._subscribed.wait(PATIENCE_S), "the listener comes back"
        before = [str(heard.fields["id"]) for heard in listener.on("/event")]
        proxy.heal()
        have_arrived(listener, 31)
        all_is_settled(sink)
    heard = [str(heard.fields["id"]) for heard in listener.on("/event")]
    assert heard == before + ids(1, 31), "what was not acknowledged came twice, in order"


def test_a_broker_whose_disk_is_full_goes_on_and_so_do_we(mosquitto: str, tmp_path: Path) -> None:
    with (
        mounted(tmp_path / "disk", size_kb=64) as disk,
        Mosquitto(mosquitto, tmp_path, saves_to=disk.folder) as broker,
        Listener(broker.port) as listener,
        opened(make_sink(broker.port, tmp_path)) as sink,
    ):
        disk.fill()
        publish(sink, 0, 50)
        have_arrived(listener, 50)
        all_is_settled(sink)
        log = tmp_path / f"mosquitto-{broker.port}.log"
        wait_until(lambda: "No space left" in log.read_text(), f"it complains:\n{log.read_text()}", PATIENCE_S)
        publish(sink, 50, 100)
        have_arrived(listener, 100)
        all_is_settled(sink)
