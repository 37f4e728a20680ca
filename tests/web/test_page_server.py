"""The live page over HTTP, with a real server and plain sockets: news, buttons, and what is refused."""

from __future__ import annotations

import json
import re
import socket
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from support.events import an_event
from support.life import Life, Radio
from support.mqtt import wait_until
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.errors import SinkError
from ser_agent.messages import ListeningState, ThresholdState
from ser_agent.page_options import PageOptions
from ser_agent.ports import PluginContext
from ser_agent.sinks.page import PageSink
from ser_agent.testing import RecordingSink, check_sink, context

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

TOKEN = "a token of some length"


@contextmanager
def page(**keys: Any) -> Iterator[PageSink]:  # noqa: ANN401 - of many kinds
    """A page that is open, on a port of its own."""
    sink = PageSink(PageOptions.model_validate_json(json.dumps({"port": 0, **keys})), context("attic"))
    sink.open()
    try:
        yield sink
    finally:
        sink.close()


def ask(
    sink: PageSink, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> tuple[HTTPResponse, bytes]:
    """A request, and what came back."""
    assert sink.port is not None
    connection = HTTPConnection("127.0.0.1", sink.port, timeout=30)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        return answer, answer.read()
    finally:
        connection.close()


def status(*arguments: Any, **keys: Any) -> int:  # noqa: ANN401 - those of ``ask``
    return ask(*arguments, **keys)[0].status


class Watcher:
    """Somebody who looks at the page: reads the news one by one."""

    def __init__(self, sink: PageSink, headers: Mapping[str, str] | None = None) -> None:
        assert sink.port is not None
        self._connection = HTTPConnection("127.0.0.1", sink.port, timeout=30)
        self._connection.request("GET", "/stream", headers=dict(headers or {}))
        self.answer = self._connection.getresponse()

    def next(self, kind: str) -> dict[str, Any]:
        """The next news of a kind; others are passed over."""
        current = ""
        while line := self.answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "event":
                current = value
            elif name == "data" and current == kind:
                return json.loads(value)  # type: ignore[no-any-return]
        raise AssertionError(f"the stream ended before any {kind}")

    def at_end(self) -> bool:
        """Whether the server has let go."""
        while self.answer.readline():
            pass
        return True

    def close(self) -> None:
        self._connection.close()


def test_the_page_is_a_sink_like_any_other() -> None:
    check_sink(PageSink(PageOptions(port=0), context()), an_event())


def test_a_port_that_is_taken_is_told_with_its_number() -> None:
    with page() as first:
        options = PageOptions(port=first.port or 0)
        with pytest.raises(
            SinkError, match=rf"web: cannot listen on 127\.0\.0\.1:{first.port}: address already in use"
        ):
            PageSink(options, context()).open()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/?x=1", "text/html; charset=utf-8"),
        ("/page.css", "text/css; charset=utf-8"),
        ("/palette.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/charts.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/texts.json", "application/json"),
        ("/snapshot", "application/json"),
    ],
)
def test_everything_the_page_needs_is_there_and_says_what_it_may_do(path: str, kind: str) -> None:
    with page() as sink:
        answer, content = ask(sink, "GET", path)
    assert answer.status == 200
    assert content
    assert answer.headers["Content-Type"] == kind
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert set(re.findall(rb"https?:[^\s\"')]*", content)) <= {b"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize(
    "path",
    [
        "/../page.py",
        "/%2e%2e/page.py",
        "/page_files/../page.py",
        "//etc/passwd",
        "/index.html",
        "/login.html",
        "/x" * 500,
    ],
)
def test_no_path_leads_anywhere_else(path: str) -> None:
    with page() as sink:
        assert status(sink, "GET", path) == 404


def test_a_name_that_is_not_ours_gets_nothing_and_presses_nothing() -> None:
    with page(names=["page.example.org"]) as sink:
        assert status(sink, "GET", "/snapshot", headers={"Host": "evil.example"}) == 421
        assert status(sink, "POST", "/listening", {"on": False}, {"Host": "evil.example"}) == 421
        assert status(sink, "GET", "/snapshot", headers={"Host": "page.example.org"}) == 200


@pytest.mark.parametrize(
    ("path", "body", "headers", "expected"),
    [
        ("/listening", {"on": False}, {"Origin": "http://evil.example"}, 403),
        ("/listening", {"on": False}, {"Sec-Fetch-Site": "cross-site"}, 403),
        ("/listening", {"on": False}, {"Content-Type": "text/plain"}, 400),
        ("/listening", {"on": "no"}, {}, 400),
        ("/listening", ["on"], {}, 400),
        ("/listening", {"on": False, "x": "y" * 2000}, {}, 400),
        ("/threshold", {"value": 1.5}, {}, 400),
        ("/threshold", {"value": None}, {}, 400),
        ("/elsewhere", {"on": False}, {}, 400),
        ("/listening", {"on": False}, {}, 409),  # all is well but that no agent runs
    ],
)
def test_a_wrong_press_changes_nothing(path: str, body: object, headers: dict[str, str], expected: int) -> None:
    with page() as sink:
        assert status(sink, "POST", path, body, headers) == expected


def test_without_the_token_there_is_only_a_place_to_give_it() -> None:
    with page(token=TOKEN) as sink:
        assert b'type="password"' in ask(sink, "GET", "/")[1]
        for path in ("/snapshot", "/stream"):
            assert status(sink, "GET", path) == 401
        assert status(sink, "POST", "/threshold", {"value": 0.5}) == 401
        assert status(sink, "POST", "/login", {"token": "another of some length"}) == 401
        answer, _ = ask(sink, "POST", "/login", {"token": TOKEN})
        cookie = {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]}
        assert b"data-hours" in ask(sink, "GET", "/", headers=cookie)[1]
        assert status(sink, "GET", "/snapshot", headers=cookie) == 200
        assert status(sink, "GET", "/snapshot", headers={"Authorization": f"Bearer {TOKEN}"}) == 200


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"host": "0.0.0.0"}, "host 0.0.0.0 can be reached from elsewhere: that needs a token"),
        ({"host": "house.example.org"}, "can be reached from elsewhere"),
        ({"token": "short"}, "at least 12 characters"),
        ({"port": 70000}, "less than or equal to 65535"),
    ],
)
def test_a_configuration_that_would_let_strangers_in_is_refused(keys: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        PageOptions.model_validate_json(json.dumps(keys))


def test_a_viewer_gets_all_there_is_then_each_change_and_is_let_go_at_the_end() -> None:
    with page() as sink:
        sink.publish(ThresholdState(value=0.4))
        watcher = Watcher(sink)
        assert watcher.answer.headers["Content-Type"] == "text/event-stream"
        assert watcher.next("snapshot")["state"]["threshold"] == 0.4
        sink.publish(ListeningState(on=True))
        assert watcher.next("state") == {"listening": True}
        sink.publish(an_event(7))
        assert watcher.next("event")["id"] == f"{7:026d}"
    assert watcher.at_end()
    watcher.close()


def test_somebody_who_connects_and_says_nothing_or_rubbish_disturbs_nobody() -> None:
    with page() as sink:
        assert sink.port is not None
        silent = [socket.create_connection(("127.0.0.1", sink.port)) for _ in range(8)]
        for rubbish in (b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"A" * 5000):
            with socket.create_connection(("127.0.0.1", sink.port)) as connection:
                connection.sendall(rubbish)
        assert status(sink, "GET", "/snapshot") == 200
        for connection in silent:
            connection.close()


def test_mute_and_threshold_go_to_the_agent_through_its_desk_and_come_back_as_news(tmp_path: Path) -> None:
    rig = Rig(source=Radio(speech(SPEECH, PAUSE), speech(SPEECH, PAUSE)))
    sink = PageSink(PageOptions(port=0), PluginContext("attic", tmp_path, desk=rig.desk))
    rig.sinks = {"record": RecordingSink(), "web": sink}
    with Life(rig):
        wait_until(lambda: sink.port is not None, "the page is open")
        watcher = Watcher(sink)
        assert status(sink, "POST", "/threshold", {"value": 0.9}) == 200
        assert status(sink, "POST", "/listening", {"on": False}) == 200
        while not (vitals := watcher.next("vitals")).get("sinks") or vitals["listening"]:
            pass
        assert vitals["threshold"] == 0.9
        assert vitals["sinks"]["web"] == {"connected": None, "lost": 0}
        wait_until(
            lambda: json.loads(ask(sink, "GET", "/snapshot")[1])["state"]["listening"] is False, "it is muted"
        )
        assert status(sink, "POST", "/listening", {"on": True}) == 200
        assert watcher.next("state") is not None
    watcher.close()


def test_a_hard_mute_is_told_as_the_reason_why_a_button_did_nothing(tmp_path: Path) -> None:
    rig = Rig(source=Radio(), hard_mute=True)
    sink = PageSink(PageOptions(port=0), PluginContext("attic", tmp_path, desk=rig.desk))
    rig.sinks = {"record": RecordingSink(), "web": sink}
    with Life(rig):
        wait_until(lambda: sink.port is not None, "the page is open")
        answer, content = ask(sink, "POST", "/listening", {"on": True})
    assert answer.status == 409
    assert "hard_mute" in json.loads(content)["error"]
