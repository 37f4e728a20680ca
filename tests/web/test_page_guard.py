"""Who may look at a page and press its buttons."""

from __future__ import annotations

import socket

import pytest

from ser_agent.sinks.page_guard import COOKIE, Guard

TOKEN = "a token of some length"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:7861",
        "127.0.0.1:7861",
        "192.168.1.7:7861",
        "[::1]:7861",
        "PAGE.example.org",
        socket.gethostname(),
    ],
)
def test_a_page_knows_its_own_names_and_every_address(host: str) -> None:
    assert Guard(None, ["page.example.org"]).is_our_host(host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "[::1",
        "a:b",
    ],
)
def test_a_name_that_somebody_else_may_point_here_is_none_of_ours(host: str | None) -> None:
    assert not Guard(None, ["page.example.org"]).is_our_host(host)


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"Host": "localhost:7861"}, True),
        ({"Host": "localhost:7861", "Origin": "http://localhost:7861"}, True),
        ({"host": "localhost:7861", "origin": "http://localhost:7861", "sec-fetch-site": "same-origin"}, True),
        ({"Host": "localhost:7861", "Origin": "http://localhost:8000"}, False),
        ({"Host": "localhost:7861", "Origin": "http://evil.example"}, False),
        ({"Host": "localhost:7861", "Origin": "null"}, False),
        ({"Host": "localhost:7861", "Sec-Fetch-Site": "cross-site"}, False),
        ({"Host": "localhost:7861", "Sec-Fetch-Site": "same-site"}, False),
    ],
)
def test_what_changes_something_must_come_from_the_page_itself(headers: dict[str, str], same: bool) -> None:  # noqa: FBT001
    assert Guard(None).is_same_origin(headers) is same


def test_where_there_is_no_token_nobody_needs_one() -> None:
    guard = Guard(None)
    assert guard.knows({})
    assert not guard.is_token("")


def test_the_token_opens_as_a_header_and_the_cookie_it_is_changed_for_opens_too() -> None:
    guard = Guard(TOKEN)
    cookie = guard.cookie().partition(";")[0]
    assert guard.knows({"Authorization": f"Bearer {TOKEN}"})
    assert guard.knows({"cookie": f"other=1; {cookie}"})
    assert TOKEN not in guard.cookie()
    assert "HttpOnly" in guard.cookie()
    assert "SameSite=Strict" in guard.cookie()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer a token of some lengti"},
        {"Authorization": "Bearer ä"},
        {"Cookie": f"{COOKIE}="},
        {"Cookie": f"{COOKIE}={TOKEN}"},
        {"Cookie": "\x00;=;=="},
        {"Cookie": Guard("another token altogether").cookie().partition(";")[0]},
    ],
)
def test_whoever_does_not_know_the_token_stays_outside(headers: dict[str, str]) -> None:
    assert not Guard(TOKEN).knows(headers)
