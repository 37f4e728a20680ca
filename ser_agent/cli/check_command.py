"""``ser-agent check``: is the configuration valid, and, with ``--live``, does each part work on this machine?"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ser_agent.app import Workshop
from ser_agent.audio import HOP_SAMPLES, Lull
from ser_agent.cli.settings import load_settings
from ser_agent.errors import EX_OK, EX_UNAVAILABLE, SerAgentError, SourceError
from ser_agent.state import StateFile, state_folder, state_of_another

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from ser_agent.config import Loaded
    from ser_agent.ports import AssistantWatch, EventSink

FIRST_FRAME_S = 10.0
PROBE_S = 5.0


def execute(args: argparse.Namespace) -> int:
    """Check, and say what was found."""
    loaded = load_settings(args)
    print(f"configuration: valid ({loaded.file or 'defaults'})")
    state = StateFile() if loaded.file is None else state_of_another(loaded.file, state_folder())
    code = EX_OK
    workshop = Workshop(loaded, state)
    _warn(f"classifier {loaded.config.classifier.type}", workshop.classifier())
    for name, sink in workshop.sinks().items():
        _warn(f"sink {name}", sink)
        code = max(code, _report(name, sink))
    return max(code, _check_live(loaded) if args.live else EX_OK)


def _warn(name: str, part: object) -> None:
    """Parts with an operation ``warnings()`` may have something to say that needs nothing to be opened."""
    for warning in getattr(part, "warnings", list)():
        print(f"{name}: WARNING: {warning}")


def _report(name: str, sink: EventSink) -> int:
    """Sinks with an operation ``report()`` may have something to say of an agent that is running, or has been."""
    try:
        said = getattr(sink, "report", lambda: None)()
    except SerAgentError as error:
        print(f"sink {name}: NOT OK: {error}")
        return error.exit_code
    if said is not None:
        print(f"sink {name}: {said}")
    return EX_OK


def _check_live(loaded: Loaded) -> int:
    workshop = Workshop(loaded)
    checks: list[tuple[str, Callable[[], str]]] = [
        (f"source {loaded.config.source.type}", partial(hear, workshop)),
        (f"vad {loaded.config.vad.type}", partial(_judge, workshop)),
        (f"classifier {loaded.config.classifier.type}", partial(_load, workshop)),
    ]
    checks += [(f"sink {name}", partial(_probe, sink)) for name, sink in workshop.sinks().items()]
    if (assistant := workshop.assistant()) is not None:
        checks.append(("assistant", partial(_ask, assistant)))
    code = EX_OK
    for name, check in checks:
        try:
            print(f"{name}: OK: {check()}", flush=True)
        except SerAgentError as error:
            print(f"{name}: NOT OK: {error}", flush=True)
            code = error.exit_code if code == EX_OK else EX_UNAVAILABLE
    return code


def hear(workshop: Workshop) -> str:
    """What is heard of the source, for a user to read.

    Raises:
        SourceError: nothing.
    """
    source = workshop.source()
    source.open()
    late = threading.Event()

    def give_up() -> None:
        late.set()
        source.close()

    timer = threading.Timer(FIRST_FRAME_S, give_up)
    timer.start()
    try:
        sound = next(iter(source.frames()), None)
    finally:
        timer.cancel()
        source.close()
    if isinstance(sound, Lull):
        return "it is there, and waits for sound"
    if sound is None:
        raise SourceError(
            f"no sound within {FIRST_FRAME_S:g} s" if late.is_set() else "it ended without any sound"
        )
    return "sound arrives"


def _judge(workshop: Workshop) -> str:
    probability = workshop.detector().probability(np.zeros(HOP_SAMPLES, np.int16))
    return f"takes silence for speech with a probability of {probability:.2f}"


def _load(workshop: Workshop) -> str:
    """Those with an operation ``probe(timeout_s)`` can say more than that they load."""
    classifier = workshop.classifier()
    probe = getattr(classifier, "probe", None)
    if probe is not None:
        return str(probe(PROBE_S))
    try:
        info = classifier.load()
    finally:
        classifier.close()
    return f"{info.name} loaded, labels: {', '.join(info.labels)}"


def _ask(assistant: AssistantWatch) -> str:
    """Those with an operation ``probe(timeout_s)`` can say more than that they open."""
    probe = getattr(assistant, "probe", None)
    if probe is not None:
        return str(probe(PROBE_S))
    assistant.open(lambda _: None)
    assistant.close()
    return "opened"


def _probe(sink: EventSink) -> str:
    """Sinks with an operation ``probe(timeout_s)`` can say more than that they open."""
    probe = getattr(sink, "probe", None)
    if probe is not None:
        return str(probe(PROBE_S))
    sink.open()
    sink.close()
    return "opened"
