"""What the command line says of itself: help, version, completion, plugins, devices."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from rich.table import Table
from support.agent import ser_agent as ser_agent_process
from support.command_line import python

from ser_agent import __version__
from ser_agent.cli.tables import print_table
from ser_agent.plugins import PORTS, available

if TYPE_CHECKING:
    from pathlib import Path

    from support.command_line import Command
    from support.pulse import PulseServer

COMMANDS = ("run", "check", "classify", "segment", "devices", "config", "plugins")
HEAVY = ("torch", "transformers", "paho", "pyaudio", "librosa", "rich", "pydantic", "numpy")

WHAT_IS_IMPORTED = f"""
import sys
from ser_agent.cli import main
try:
    main(sys.argv[1:])
finally:
    print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), *((command, "--help") for command in COMMANDS)], ids=" ".join
)
def test_help_answers_without_importing_anything_heavy(arguments: tuple[str, ...]) -> None:
    outcome = python(WHAT_IS_IMPORTED, *arguments)
    assert (outcome.code, outcome.err) == (0, "[]\n")
    assert "ser-agent" in outcome.out


def test_help_names_every_command_and_exit_code(ser_agent: Command) -> None:
    told = ser_agent("--help").out
    for word in (*COMMANDS, "69", "70", "78"):
        assert word in told


def test_the_version_is_told(ser_agent: Command) -> None:
    assert ser_agent("--version").out == f"ser-agent {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "required: COMMAND"),
        (("sing",), "invalid choice: 'sing'"),
        (("classify",), "required: FILE"),
        (("config", "shout"), "invalid choice: 'shout'"),
        (("segment", "x.wav", "--top", "1"), "unrecognized arguments: --top 1"),
        (("classify", "x.wav", "--top", "0"), "expected a number from 1 on, or 'all', not '0'"),
        (("classify", "x.wav", "--top", "some"), "expected a number from 1 on, or 'all', not 'some'"),
        (("classify", "x.wav", "--top", "²"), "expected a number from 1 on, or 'all', not '²'"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_why(
    ser_agent: Command, arguments: tuple[str, ...], complaint: str
) -> None:
    outcome = ser_agent(*arguments)
    assert outcome.code == 2
    assert complaint in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_completion_script_is_sound(ser_agent: Command, tmp_path: Path, shell: str) -> None:
    outcome = ser_agent("--print-completion", shell)
    assert outcome.code == 0
    script = tmp_path / "completion"
    script.write_text(outcome.out, encoding="utf-8")
    subprocess.run([shutil.which(shell) or "bash", "-n", script], check=True)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("ser-agent cla", "classify"), ("ser-agent config s", "show schema"), ("ser-agent run --qu", "--quiet")],
)
def test_bash_completes_commands_choices_and_options(ser_agent: Command, typed: str, offered: str) -> None:
    words = typed.split()
    ask = f"""
COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; COMP_LINE={typed!r}; COMP_POINT={len(typed)}
_shtab_ser_agent ser-agent {words[-1]} {words[-2]}
echo "${{COMPREPLY[@]}}"
"""
    script = ser_agent("--print-completion", "bash").out + ask
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert set(offered.split()) == set(done.stdout.split())


def test_every_plugin_is_listed_with_what_it_is(ser_agent: Command) -> None:
    outcome = ser_agent("plugins")
    assert outcome.code == 0
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in outcome.out.splitlines()]
    for port in PORTS:
        for entry in available(port).values():
            summary = entry.factory.__doc__.partition("\n")[0]  # type: ignore[union-attr]
            assert [port, entry.name, summary, f"ser-agent {__version__}"] in rows


def test_what_stands_in_a_table_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("what")
    table.add_row("USB [hw:1,0] :smile: [/x] " + 200 * "long")
    print_table(table)
    assert "USB [hw:1,0] :smile: [/x] " + 200 * "long" in capsys.readouterr().out


@pytest.mark.pulse
def test_the_microphones_are_listed(pulse: PulseServer) -> None:
    done = ser_agent_process("devices")
    assert done.returncode == 0
    assert done.stderr == ""
    head, *devices = [row for row in done.stdout.splitlines() if row[0] in "┃│"]
    assert "rates (Hz)" in head
    assert [row for row in devices if row.rstrip(" │").endswith("default")], "one is the default"
    assert "8000, 16000, 44100, 48000" in done.stdout


@pytest.mark.usefixtures("no_microphone")
def test_a_machine_without_a_microphone_says_so(ser_agent: Command) -> None:
    outcome = ser_agent("devices")
    assert (outcome.code, outcome.out) == (0, "no microphone: this machine has no input device\n")
