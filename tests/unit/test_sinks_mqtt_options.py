from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from support.mqtt import make_sink

from ser_agent.errors import SinkError
from ser_agent.ports import PluginContext
from ser_agent.sinks import mqtt_tls
from ser_agent.sinks.mqtt_options import Endpoint, MqttOptions, endpoint, warnings_about

if TYPE_CHECKING:
    from pathlib import Path


def options(**keys: Any) -> MqttOptions:  # noqa: ANN401 - of many kinds
    return MqttOptions.model_validate_json(json.dumps(keys))


def resolved(folder: Path, **keys: Any) -> Endpoint:  # noqa: ANN401 - of many kinds
    return endpoint(options(**keys), PluginContext("kitchen", folder))


@pytest.mark.parametrize(
    ("keys", "port"),
    [
        ({}, 1883),
        ({"tls": {}}, 8883),
        ({"transport": "websockets"}, 80),
        ({"transport": "websockets", "tls": {}}, 443),
        ({"port": 1884, "tls": {}}, 1884),
        ({"host": "broker.lan"}, 8883),
        ({"host": "broker.lan", "transport": "websockets"}, 443),
        ({"host": "broker.lan", "tls": False}, 1883),
        ({"host": "broker.lan", "tls": "off"}, 1883),
        ({"tls": True}, 8883),
    ],
)
def test_the_port_follows_transport_and_encryption(tmp_path: Path, keys: dict[str, Any], port: int) -> None:
    assert resolved(tmp_path, **keys).port == port


def test_the_client_identifier_names_the_site(tmp_path: Path) -> None:
    assert resolved(tmp_path).client_id == "ser-agent-kitchen"
    assert resolved(tmp_path, client_id="mine").client_id == "mine"


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        (
            {"username": "me", "password": "a", "password_file": "b"},
            "give one of password, password_file, not several",
        ),
        ({"password_file": "b"}, "password_file needs username"),
        ({"tls": {"key_file": "k"}}, "key_file needs cert_file"),
        ({"tls": 1.5}, "tls"),
        ({"tls": {"enabled": False, "ca_file": "ours.pem"}}, "has no certificates"),
        ({"base_topic": "a/#"}, "base_topic"),
        ({"base_topic": "a/"}, "base_topic"),
        ({"base_topic": ""}, "base_topic"),
        ({"password_credential": "../shadow"}, "password_credential"),
        ({"port": 0}, "port"),
        ({"hots": "x"}, "hots"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        options(**keys)


def test_the_password_shows_nowhere(tmp_path: Path) -> None:
    keys = {"username": "me", "password": "hunter2"}
    broker = resolved(tmp_path, **keys)
    assert broker.password == "hunter2"
    assert "hunter2" not in f"{broker!r} {options(**keys)!r} {options(**keys).model_dump_json()}"


def test_a_password_file_counts_from_the_configuration_and_its_first_line_counts(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(" with blanks \nsecond line\n")
    assert resolved(tmp_path, username="me", password_file="secret").password == " with blanks "
    absolute = str(tmp_path / "secret")
    assert resolved(tmp_path / "elsewhere", username="me", password_file=absolute).password == " with blanks "


def test_a_credential_comes_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mqtt").write_text("geheim")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert resolved(tmp_path, username="me", password_credential="mqtt").password == "geheim"
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    with pytest.raises(SinkError, match=r"password_credential: .*'mqtt'.*LoadCredential="):
        resolved(tmp_path, username="me", password_credential="mqtt")


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"tls": {"ca_file": "nowhere.pem"}}, r"tls\.ca_file: there is no file .*/nowhere\.pem"),
        ({"tls": {"ca_file": "text.pem"}}, r"tls\.ca_file: .*/text\.pem holds no usable certificate"),
        ({"tls": {"cert_file": "nowhere.pem"}}, r"tls\.cert_file: there is no file .*/nowhere\.pem"),
        ({"tls": {"cert_file": "text.pem", "key_file": "nowhere.key"}}, r"tls\.key_file: there is no file"),
        ({"tls": {"cert_file": "text.pem"}}, r"tls\.cert_file: .*/text\.pem cannot be used"),
        ({"username": "me", "password_file": "nowhere"}, r"password_file: there is no file .*/nowhere"),
        ({"username": "me", "password_file": "empty"}, r"password_file: .*/empty has no password"),
        (
            {"username": "me", "password_file": "binary"},
            r"password_file: .*/binary cannot be read: it is not UTF-8",
        ),
    ],
)
def test_opening_names_the_file_and_key_that_can_never_work(
    tmp_path: Path, keys: dict[str, Any], complaint: str
) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SinkError, match=complaint):
        make_sink(1883, tmp_path, **keys).open()


def test_encryption_checks_certificate_and_host_name_and_is_modern(tmp_path: Path) -> None:
    context = resolved(tmp_path, tls={}).tls
    assert context is not None
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.cert_store_stats()["x509_ca"] >= 0


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("ourselves", True),
        ("ourselves.lan", True),
        ("192.168.1.5", False),
        ("::ffff:192.168.1.5", False),
        ("0.0.0.0", False),
        ("fe80::1%eth0", False),
        ("broker.lan", False),
        ("both", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_only_loopback_and_names_that_the_hosts_file_gives_it_are_this_machine(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    here: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(
        "127.0.1.1 ourselves.lan Ourselves # 127.0.0.1 broker.lan\n127.0.0.1 both\n10.0.0.1 both\nx\n"
    )
    monkeypatch.setattr(mqtt_tls, "HOSTS_FILE", hosts)
    assert mqtt_tls.is_this_machine(host) is here


def test_without_a_hosts_file_no_name_but_localhost_is_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt_tls, "HOSTS_FILE", tmp_path / "none")
    assert mqtt_tls.is_this_machine("localhost")
    assert not mqtt_tls.is_this_machine("ourselves")


def test_a_broker_elsewhere_is_checked_like_one_that_encryption_is_asked_for(tmp_path: Path) -> None:
    broker = resolved(tmp_path, host="broker.lan")
    assert broker.tls is not None
    assert broker.tls_assumed
    assert broker.tls.check_hostname
    assert broker.tls.verify_mode is ssl.CERT_REQUIRED
    assert broker.tls.minimum_version is ssl.TLSVersion.TLSv1_2
    assert resolved(tmp_path).tls is None
    assert resolved(tmp_path, host="broker.lan", tls=False).tls is None
    assert not resolved(tmp_path, host="broker.lan", tls={}).tls_assumed


@pytest.mark.parametrize(
    ("keys", "warning"),
    [
        ({}, None),
        ({"tls": "off", "username": "me", "password": "hunter2"}, None),
        ({"host": "broker.lan"}, None),
        ({"host": "broker.lan", "tls": "off"}, "all that is told goes to broker.lan unencrypted"),
        (
            {"host": "broker.lan", "tls": "off", "username": "me", "password": "hunter2"},
            "the password and all that is told goes to broker.lan unencrypted",
        ),
        ({"host": "broker.lan", "tls": {"insecure": True}}, "anybody can pass for it"),
    ],
)
def test_what_is_dangerous_is_warned_of(keys: dict[str, Any], warning: str | None) -> None:
    warnings = warnings_about(options(**keys))
    assert [True for told in warnings if warning and warning in told] == [True] * len(warnings)
    assert bool(warnings) == (warning is not None)
    assert "hunter2" not in str(warnings)


def test_insecure_checks_nothing(tmp_path: Path) -> None:
    context = resolved(tmp_path, tls={"insecure": True}).tls
    assert context is not None
    assert not context.check_hostname
    assert context.verify_mode is ssl.CERT_NONE
