"""The Hermes source with a real broker."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Self

import pytest
from support.hermes import Satellites, chunks, wav
from support.mqtt import Mosquitto, free_port, wait_until

from ser_agent.app import Workshop
from ser_agent.audio import AudioFrame, Lull
from ser_agent.cli.check_command import hear
from ser_agent.config import load
from ser_agent.errors import SourceError, SourceLost
from ser_agent.sources.hermes import HermesOptions, HermesSource
from ser_agent.sources.hermes_link import SESSION_S, Sessions
from ser_agent.testing import check_source, context, tone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

SOUND = tone(1.0)
PAYLOADS = [wav(chunk) for chunk in chunks(SOUND)]


def source(port: int, **keys: Any) -> HermesSource:  # noqa: ANN401 - of many kinds
    """Unless the keys say otherwise, no pause of a busy machine is a lull, a gap or a reason to shed sound."""
    merged = {"port": port, "silent_after_s": 60.0, "buffer_s": 10.0, **keys}
    return HermesSource(HermesOptions.model_validate_json(json.dumps(merged)), context("hub"))


class Ear:
    """Reads a source in a thread of its own, and notes what it yields."""

    def __init__(self, those: HermesSource) -> None:
        self.frames: list[AudioFrame] = []
        self.lulls: list[Lull] = []
        self.fault: Exception | None = None
        self._source = those
        self._thread = threading.Thread(target=self._read, daemon=True)

    def _read(self) -> None:
        try:
            for sound in self._source.frames():
                if isinstance(sound, AudioFrame):
                    self.frames.append(sound)
                else:
                    self.lulls.append(sound)
        except SourceError as error:
            self.fault = error

    def sites(self) -> dict[str | None, int]:
        """Samples heard, by site."""
        found: dict[str | None, int] = {}
        for frame in list(self.frames):
            found[frame.site] = found.get(frame.site, 0) + len(frame.samples)
        return found

    def __enter__(self) -> Self:
        self._source.open()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def satellites(broker: Mosquitto) -> Iterator[Satellites]:
    """A client that speaks for satellites on that broker."""
    with Satellites(broker.port) as connected:
        yield connected


def test_it_keeps_the_promises_of_a_source(broker: Mosquitto, satellites: Satellites) -> None:
    done = threading.Event()

    def go_on_and_on() -> None:
        while not done.wait(0.005):
            satellites.send("a", PAYLOADS[0])
            satellites.send("a", PAYLOADS[1])

    talker = threading.Thread(target=go_on_and_on)
    talker.start()
    try:
        check_source(source(broker.port))
    finally:
        done.set()
        talker.join()


def test_all_satellites_are_heard_each_under_its_site_and_garbage_harms_nobody(
    broker: Mosquitto, satellites: Satellites
) -> None:
    those = source(broker.port)
    with Ear(those) as ear:
        wait_until(lambda: ear.lulls, "it says that it waits", 30)
        for payload in PAYLOADS:
            for site in ("kitchen", "Büro"):
                satellites.send(site, payload)
            satellites.send("kitchen", b"RIFF garbage")
        wait_until(lambda: ear.sites() == {"kitchen": len(SOUND), "buro": len(SOUND)}, "both are heard", 30)
        wait_until(lambda: those.counts()["garbage"] == len(PAYLOADS), "garbage is counted", 30)
    assert those.counts()["sites"] == 2


def test_only_the_satellites_that_are_named_are_heard(broker: Mosquitto, satellites: Satellites) -> None:
    with Ear(source(broker.port, sites=["kitchen", "Living Room"])) as ear:
        for site in ("attic", "kitchen", "Living Room"):
            satellites.send(site, PAYLOADS[0])
        wait_until(lambda: len(ear.frames) >= 2, "two are heard", 30)
    assert set(ear.sites()) == {"kitchen", "living-room"}


def test_a_satellite_that_ceases_is_told_of(broker: Mosquitto, satellites: Satellites) -> None:
    with Ear(source(broker.port, silent_after_s=0.3, away_after_s=1.0)) as ear:
        satellites.send("a", PAYLOADS[0])
        wait_until(lambda: Lull("away", "a") in ear.lulls, "it counts as switched off", 30)
    assert ear.lulls.index(Lull("silent", "a")) < ear.lulls.index(Lull("away", "a"))


def test_sound_belongs_to_the_session_that_is_open_there(broker: Mosquitto, satellites: Satellites) -> None:
    with Ear(source(broker.port)) as ear:
        satellites.session("a", "one", started=True)
        satellites.send("a", PAYLOADS[0])
        satellites.send("b", PAYLOADS[1])
        satellites.session("a", "another", started=False)
        satellites.send("a", PAYLOADS[2])
        satellites.session("a", "one", started=False)
        satellites.send("a", PAYLOADS[3])
        wait_until(lambda: len(ear.frames) == 4, "all is heard", 30)
    assert [frame.session for frame in ear.frames if frame.site == "a"] == ["one", "one", None]
    assert [frame.session for frame in ear.frames if frame.site == "b"] == [None]


@pytest.mark.parametrize(
    "payload", [b"", b"[]", b"{", b'{"siteId":3,"sessionId":"x"}', b'{"siteId":"a"}', b"[" * 5000, b"x" * 20_000]
)
def test_sessions_that_make_no_sense_are_passed_over_and_none_is_for_ever(payload: bytes) -> None:
    sessions = Sessions()
    sessions.note(payload, started=True, now_s=0.0)
    assert sessions.at("a", 0.0) is None
    sessions.note(b'{"siteId":"a","sessionId":"x"}', started=True, now_s=0.0)
    assert sessions.at("a", SESSION_S - 1) == "x"
    assert sessions.at("a", SESSION_S + 1) is None


def test_a_broker_that_goes_is_a_source_that_is_lost_and_comes_back(mosquitto: str, tmp_path: Path) -> None:
    with Mosquitto(mosquitto, tmp_path) as broker:
        those = source(broker.port)
        with Ear(those) as ear:
            wait_until(lambda: ear.lulls, "it listens", 30)
            broker.stop()
            wait_until(lambda: ear.fault is not None, "the loss is told", 30)
        assert isinstance(ear.fault, SourceLost)
        assert f"Hermes broker localhost:{broker.port}: " in str(ear.fault)
        broker.start()
        with Ear(those) as again, Satellites(broker.port) as satellites:
            satellites.send("a", PAYLOADS[0])
            wait_until(lambda: again.frames, "it hears again", 30)


def test_a_broker_that_is_not_there_is_named() -> None:
    port = free_port()
    with pytest.raises(SourceError, match=f"Hermes broker localhost:{port}: connection refused"):
        source(port).open()


def test_a_check_is_content_with_a_broker_that_no_satellite_talks_to(broker: Mosquitto) -> None:
    loaded = load(None, ("source.type=hermes", f"source.port={broker.port}"))
    assert hear(Workshop(loaded)) == "it is there, and waits for sound"


def test_a_password_that_is_wrong_is_told_of_and_never_shown(mosquitto: str, tmp_path: Path) -> None:
    (tmp_path / "passwords").write_text("")
    settings = f"password_file {tmp_path}/passwords\n"
    with Mosquitto(mosquitto, tmp_path, settings, anonymous=False) as broker:
        with pytest.raises(SourceError, match="refuses user name 'me'") as caught:
            source(broker.port, username="me", password="secret").open()
        assert "secret" not in str(caught.value)
    with pytest.raises(SourceError, match="password_file: there is no file"):
        source(broker.port, username="me", password_file="nowhere").open()
