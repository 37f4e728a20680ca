"""A broker on another machine: encrypted and checked without being asked for, plain only when told so."""

from __future__ import annotations

import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from support.events import an_event
from support.mqtt import PATIENCE_S, Mosquitto, free_port, make_sink, opened
from support.security import make_authority, make_certificate, tls_settings

from ser_agent.errors import SinkError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.broker

ELSEWHERE = "broker.lan"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and certificates for the broker's name and for another one."""
    folder = tmp_path_factory.mktemp("certificates")
    ours = make_authority(folder, "ours")
    make_certificate(ours, "broker", f"DNS:{ELSEWHERE}")
    make_certificate(ours, "elsewhere", "DNS:elsewhere.example")
    return folder


@pytest.fixture(autouse=True)
def name_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name service in which the broker's name leads here."""
    real = socket.getaddrinfo

    def look_up(host: str, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the real one's
        return real("127.0.0.1" if host == ELSEWHERE else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def test_a_broker_elsewhere_is_spoken_to_encrypted_with_the_systems_authorities(
    mosquitto: str, tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ours.pem"))
    with (
        Mosquitto(mosquitto, tmp_path, tls_settings(certificates)) as broker,
        opened(make_sink(broker.port, tmp_path, host=ELSEWHERE)) as sink,
    ):
        sink.publish(an_event(1))
        sink.flush(PATIENCE_S)
        assert sink._mailbox is not None
        assert sink._mailbox.waiting == 0
        assert sink.lost() == 0


def test_its_certificate_has_to_be_for_its_name(
    mosquitto: str, tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ours.pem"))
    with (
        Mosquitto(mosquitto, tmp_path, tls_settings(certificates, "elsewhere")) as broker,
        pytest.raises(SinkError, match=r"its certificate is not accepted: Hostname mismatch"),
    ):
        make_sink(broker.port, tmp_path, host=ELSEWHERE).probe(PATIENCE_S)


def test_a_server_that_knows_old_versions_only_is_refused(
    tmp_path: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ours.pem"))
    port = free_port()
    keys = ["-cert", str(certificates / "broker.pem"), "-key", str(certificates / "broker.key")]
    old = ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]
    command = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", *keys, *old]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        assert server.stdout is not None
        while b"ACCEPT" not in (line := server.stdout.readline()):
            assert line, "openssl's server did not start"
        try:
            with pytest.raises(SinkError, match=r"no encrypted connection: "):
                make_sink(port, tmp_path, host=ELSEWHERE).probe(PATIENCE_S)
        finally:
            server.kill()


def test_a_broker_elsewhere_without_encryption_is_refused_with_the_way_out(
    broker: Mosquitto, tmp_path: Path
) -> None:
    with pytest.raises(SinkError, match=r"no encrypted connection: .*unless its configuration says `tls: off`"):
        make_sink(broker.port, tmp_path, host=ELSEWHERE).probe(PATIENCE_S)


def test_off_connects_without_and_warns_once(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys: dict[str, Any] = {"username": "agent", "password": "correct horse"}
    with opened(make_sink(broker.port, tmp_path, host=ELSEWHERE, tls=False, **keys)) as sink:
        sink.publish(an_event(1))
        sink.flush(PATIENCE_S)
        assert sink.lost() == 0
    assert caplog.text.count("the password and all that is told goes to broker.lan unencrypted") == 1
    assert "horse" not in caplog.text
