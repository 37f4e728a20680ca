"""Passwords and certificates: what is right works, what is wrong is named, and retried until it is right."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from support.events import an_event
from support.mqtt import PATIENCE_S, Mosquitto, make_sink, opened, wait_until
from support.security import make_authority, make_certificate, protected, tls_settings

from ser_agent.errors import SinkError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.broker

PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two authorities, ours and another, and certificates of ours."""
    folder = tmp_path_factory.mktemp("certificates")
    ours = make_authority(folder, "ours")
    make_authority(folder, "others")
    make_certificate(ours, "broker", "DNS:localhost,IP:127.0.0.1")
    make_certificate(ours, "elsewhere", "DNS:elsewhere.example")
    make_certificate(ours, "agent", "DNS:agent")
    return folder


@pytest.mark.parametrize("where", ["password", "password_file", "password_credential"])
def test_the_password_comes_from_wherever_it_is(
    mosquitto: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    (tmp_path / "secret").write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    keys: dict[str, Any] = {where: PASSWORD if where == "password" else "secret"}
    with (
        protected(mosquitto, tmp_path, PASSWORD) as broker,
        opened(make_sink(broker.port, tmp_path, username="agent", **keys)) as sink,
    ):
        sink.publish(an_event(1))
        sink.flush(PATIENCE_S)
        assert sink._mailbox is not None
        assert sink._mailbox.waiting == 0
        assert sink.lost() == 0


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_refused_password_is_told_of_once_and_retried_until_it_is_right(
    mosquitto: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, protocol: str
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = tmp_path / "secret"
    secret.write_text("wrong horse\n")
    keys: dict[str, Any] = {"username": "agent", "password_file": "secret", "protocol": protocol}
    with (
        protected(mosquitto, tmp_path, PASSWORD) as broker,
        opened(make_sink(broker.port, tmp_path, retry_max_s=0.02, **keys)) as sink,
    ):
        sink.publish(an_event(1))
        assert sink._courier is not None
        courier = sink._courier
        wait_until(lambda: courier.attempts > 5, "it tries several times")
        told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        reason = "it refuses user name 'agent' or its password (not authorized); trying again until it works"
        assert told == [f"MQTT broker 127.0.0.1:{broker.port}: {reason}"]
        secret.write_text(f"{PASSWORD}\n")
        sink.flush(PATIENCE_S)
        assert sink._mailbox is not None
        assert sink._mailbox.waiting == 0
    assert "horse" not in caplog.text


def test_a_certificate_of_our_own_authority_is_accepted(
    mosquitto: str, tmp_path: Path, certificates: Path
) -> None:
    with Mosquitto(mosquitto, tmp_path, tls_settings(certificates)) as broker:
        tls = {"ca_file": "ours.pem"}  # relative to the configuration's folder
        with opened(make_sink(broker.port, certificates, tls=tls)) as sink:
            for number in range(100):
                sink.publish(an_event(number))
            sink.flush(PATIENCE_S)
            assert sink._mailbox is not None
            assert sink._mailbox.waiting == 0
            assert sink.lost() == 0


@pytest.mark.parametrize("tls", [{"ca_file": "others.pem"}, {}])
def test_a_certificate_of_an_unknown_authority_is_refused(
    mosquitto: str, tmp_path: Path, certificates: Path, tls: dict[str, str]
) -> None:
    reason = "its certificate is not accepted: (self-signed|unable to get local issuer)"
    with (
        Mosquitto(mosquitto, tmp_path, tls_settings(certificates)) as broker,
        pytest.raises(SinkError, match=rf"127\.0\.0\.1:{broker.port}: {reason}"),
    ):
        make_sink(broker.port, certificates, tls=tls).probe(PATIENCE_S)


def test_a_certificate_for_another_host_is_refused(mosquitto: str, tmp_path: Path, certificates: Path) -> None:
    with (
        Mosquitto(mosquitto, tmp_path, tls_settings(certificates, "elsewhere")) as broker,
        pytest.raises(SinkError, match=r"its certificate is not accepted: .*IP address mismatch"),
    ):
        make_sink(broker.port, certificates, tls={"ca_file": "ours.pem"}).probe(PATIENCE_S)


def test_a_wrong_certificate_is_retried_and_told_of_once(
    mosquitto: str, tmp_path: Path, certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Mosquitto(mosquitto, tmp_path, tls_settings(certificates)) as broker:
        sink = make_sink(broker.port, certificates, tls={"ca_file": "others.pem"}, retry_max_s=0.02)
        with opened(sink):
            assert sink._courier is not None
            courier = sink._courier
            wait_until(lambda: courier.attempts > 5, "it tries several times")
    assert caplog.text.count("its certificate is not accepted") == 1


def test_an_insecure_connection_takes_any_certificate(mosquitto: str, tmp_path: Path, certificates: Path) -> None:
    with Mosquitto(mosquitto, tmp_path, tls_settings(certificates, "elsewhere")) as broker:
        assert (
            make_sink(broker.port, certificates, tls={"insecure": True})
            .probe(PATIENCE_S)
            .endswith("speaks MQTT 5")
        )


def test_a_client_certificate_opens_the_door_and_without_one_it_stays_shut(
    mosquitto: str, tmp_path: Path, certificates: Path
) -> None:
    with Mosquitto(mosquitto, tmp_path, f"{tls_settings(certificates)}require_certificate true") as broker:
        tls = {"ca_file": "ours.pem", "cert_file": "agent.pem", "key_file": "agent.key"}
        assert make_sink(broker.port, certificates, tls=tls).probe(PATIENCE_S).endswith("speaks MQTT 5")
        with pytest.raises(SinkError, match="certificate"):
            make_sink(broker.port, certificates, tls={"ca_file": "ours.pem"}).probe(PATIENCE_S)


def test_a_plain_connection_to_an_encrypted_port_fails_in_words(
    mosquitto: str, tmp_path: Path, certificates: Path
) -> None:
    with (
        Mosquitto(mosquitto, tmp_path, tls_settings(certificates)) as broker,
        pytest.raises(SinkError, match=rf"127\.0\.0\.1:{broker.port}: "),
    ):
        make_sink(broker.port, certificates).probe(PATIENCE_S)


def test_an_encrypted_connection_to_a_plain_port_fails_in_words(broker: Mosquitto, certificates: Path) -> None:
    with pytest.raises(SinkError, match="encrypted"):
        make_sink(broker.port, certificates, tls={"ca_file": "ours.pem"}).probe(PATIENCE_S)
