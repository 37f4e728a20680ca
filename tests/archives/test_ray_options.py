"""``--ray [ADDRESS]`` on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ser_agent.cli.parser import make_parser

if TYPE_CHECKING:
    from support.command_line import Command


@pytest.mark.parametrize(
    ("arguments", "address", "files"),
    [
        ("a.wav", None, ["a.wav"]),
        ("--ray a.wav", "any", ["a.wav"]),
        ("--ray folder/ b.wav", "any", ["folder/", "b.wav"]),
        ("a.wav --ray", "any", ["a.wav"]),
        ("--ray --segment a.wav", "any", ["a.wav"]),
        ("--ray auto a.wav", "auto", ["a.wav"]),
        ("--ray local a.wav", "local", ["a.wav"]),
        ("--ray 10.0.0.7:6379 a.wav", "10.0.0.7:6379", ["a.wav"]),
        ("--ray=head.lan:6379 a.wav", "head.lan:6379", ["a.wav"]),
        ("--ray [fd00::7]:6379 a.wav", "[fd00::7]:6379", ["a.wav"]),
        ("--ray s3://bucket/evening", "any", ["s3://bucket/evening"]),
        ("--ray ./auto", "any", ["./auto"]),
        ("-- --ray", None, ["--ray"]),
    ],
)
def test_what_follows_is_an_address_only_where_it_looks_like_one(
    arguments: str, address: str | None, files: list[str]
) -> None:
    args = make_parser().parse_args(["classify", *arguments.split()])
    assert (args.ray, args.files) == (address, files)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("--ray", "required: FILE"),
        ("--ray=a.wav b.wav", "expected any, auto, local or HOST:PORT, not 'a.wav'"),
        ("--ray ray://head:10001 a.wav", "Ray Client (ray://) is not supported"),
        ("a.wav --out there", "--out: needs --ray"),
        ("--ray --format parquet a.wav", "--format: needs --out"),
        ("--ray --out there --format csv a.wav", "invalid choice: 'csv'"),
    ],
)
def test_a_wrong_command_line_is_told_what_is_wrong(ser_agent: Command, arguments: str, told: str) -> None:
    outcome = ser_agent("classify", *arguments.split())
    assert outcome.code == 2
    assert told in outcome.err


def test_other_commands_know_nothing_of_it(ser_agent: Command) -> None:
    assert ser_agent("segment", "--ray", "a.wav").code == 2
    assert make_parser().parse_args(["segment", "a.wav"]).files == ["a.wav"]
