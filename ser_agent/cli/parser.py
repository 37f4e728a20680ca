"""The command line's grammar. Imports nothing heavy."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import shtab

from ser_agent import __version__
from ser_agent.cli.ray_options import RayParser, add_ray_options
from ser_agent.cli.worker_options import add_worker_options
from ser_agent.wyoming_address import Address, address

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION = (
    "Hears how people feel: microphone in, emotion events out over MQTT. Everything stays on the machine."
)
MOST_DELAY_MS = 10_000
EPILOG = """\
exit codes: 0 stopped as asked; 2 wrong command line; 69 a device, file, model or broker that cannot be had;
70 a bug; 75 to be started again by systemd; 78 a wrong configuration"""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = RayParser(
        prog="ser-agent",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ser-agent {__version__}")
    shtab.add_argument_to(parser, ["--print-completion"], help="print a completion script for a shell")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for add in (
        _run,
        _check,
        _classify,
        _segment,
        _devices,
        _config,
        _plugins,
        _discovery,
        _wyoming_proxy,
        _worker,
        _web,
        _export,
        _bench,
    ):
        add(commands.add_parser)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    file = parser.add_argument(
        "-c", "--config", metavar="FILE", help="YAML file (default: ~/.config or /etc/ser-agent/ser-agent.yaml)"
    )
    file.complete = shtab.FILE  # type: ignore[attr-defined]
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="override one key, for example sinks.0.port=18883; may be repeated",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    files = parser.add_argument(
        "files", nargs="+", metavar="FILE", help="WAV, FLAC, OGG or MP3, or a folder of them"
    )
    files.complete = shtab.FILE  # type: ignore[attr-defined]


def _run(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "run",
        help="listen and publish events",
        description="Listen and publish events until stopped. Without any configuration it is a trial: a missing "
        "microphone is replaced by a bundled conversation, a missing broker by an embedded one.",
    )
    _add_config(parser)
    parser.add_argument("--source", metavar="WHAT", help="microphone, stdin, or an audio file")
    parser.add_argument("--quiet", action="store_true", help="no line per event on the terminal")


def _check(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser("check", help="validate a configuration", description="Validate a configuration.")
    _add_config(parser)
    parser.add_argument("--live", action="store_true", help="also open each part and report")


def _classify(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "classify",
        help="hear the emotion of audio files",
        description="Classify files of up to 60 s, each as one utterance, or cut into utterances first.",
    )
    _add_files(parser)
    _add_config(parser)
    parser.add_argument("--segment", action="store_true", help="cut each file into utterances first; any length")
    parser.add_argument("--jsonl", action="store_true", help="print one JSON object a line")
    parser.add_argument("--top", metavar="N", type=_top, default=3, help="how many emotions to tell, or 'all'")
    add_ray_options(parser)


def _export(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "export",
        help="make a checkpoint run without torch",
        description="Write a checkpoint as a folder for the engine `onnx`, and compare the two on speech. "
        "Needs the extra `torch`; what it makes does not.",
    )
    checkpoint = parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a folder, a hub id, or `embedded`")
    checkpoint.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    folder = parser.add_argument("folder", metavar="FOLDER", help="where to; is made where it is missing")
    folder.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    parser.add_argument("--precision", choices=["int8", "float32"], default="int8", help="default: %(default)s")
    parser.add_argument("--speech", metavar="FILE", nargs="+", default=[], help="compare on these recordings")
    _add_config(parser)


def _bench(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "bench",
        help="measure the engines on this machine",
        description="Measure how fast each engine that is installed hears 3 s of speech on this machine, what "
        "memory it takes and, where the processor tells, what energy; say what to take.",
    )
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="how long to measure each (default: %(default)g)"
    )
    _add_config(parser)


def _segment(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "segment",
        help="find the utterances in audio files",
        description="Find the utterances in files of any length. Needs no model.",
    )
    _add_files(parser)
    _add_config(parser)
    parser.add_argument("--jsonl", action="store_true", help="print one JSON object a line")


def _devices(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    add_parser("devices", help="list the microphones", description="List the devices that can be listened to.")


def _config(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "config",
        help="print an example, the effective configuration, or the schema",
        description="example: every key with its default. show: what is in force, secrets masked. "
        "schema: JSON Schema for editors.",
    )
    parser.add_argument("what", choices=["example", "show", "schema"])
    _add_config(parser)


def _plugins(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    add_parser(
        "plugins", help="list the plugins", description="List the sources, detectors, classifiers and sinks."
    )


def _discovery(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "discovery",
        help="withdraw the device from Home Assistant",
        description="remove: have Home Assistant forget the device. An agent that runs appears again, unless its "
        "configuration says discovery: {enabled: false}.",
    )
    parser.add_argument("what", choices=["remove"])
    _add_config(parser)


def _wyoming_proxy(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "wyoming-proxy",
        help="tell Home Assistant's transcripts how they were said",
        description="Stand in front of a Wyoming speech-to-text server: everything is relayed, and the emotion is "
        "put into the transcript's context and published like any other.",
    )
    parser.add_argument(
        "--listen",
        metavar="URI",
        type=_wyoming_address,
        default="tcp://0.0.0.0:10350",
        help="where clients connect",
    )
    parser.add_argument(
        "--upstream",
        metavar="URI",
        type=_wyoming_address,
        required=True,
        help="the server, as tcp://whisper:10300",
    )
    parser.add_argument(
        "--max-delay-ms", metavar="MS", type=_delay_ms, default=150, help="how long a transcript may be held back"
    )
    parser.add_argument("--in-text", action="store_true", help="also put the emotion in front of the text")
    parser.add_argument("--no-announce", dest="announce", action="store_false", help="no zeroconf announcement")
    _add_config(parser)


def _wyoming_address(text: str) -> Address:
    try:
        return address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _delay_ms(text: str) -> int:
    if not text.isdecimal() or int(text) > MOST_DELAY_MS:
        raise argparse.ArgumentTypeError(f"expected milliseconds, 0 to {MOST_DELAY_MS}, not {text!r}")
    return int(text)


def _worker(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "worker",
        help="hear the emotion for other machines' agents",
        description="Classify what satellites (agents with classifier: {type: remote}) ask over the broker of the "
        "configuration's first mqtt sink, with the configuration's classifier. SIGTERM, SIGINT and SIGHUP end it "
        "once what was begun is answered.",
    )
    add_worker_options(parser)
    _add_config(parser)


def _web(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    parser = add_parser(
        "web",
        help="a page to upload or record sound, and see what was heard",
        description="Serve a page on which to upload or record, and see what was heard. Needs the extra web. The "
        "live page of a running agent is another one: web.enabled in its configuration.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine alone)")
    parser.add_argument("--port", type=_port, default=7860, help="port, 0 for any (default: 7860)")
    _add_config(parser)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, not {text!r}")
    return int(text)


def _top(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1 on, or 'all', not {text!r}")
    return int(text)
