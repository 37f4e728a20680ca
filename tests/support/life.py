"""An agent that lives in this process beside the test, and what it listens to."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Self

from support.mqtt import PATIENCE_S, wait_until

from ser_agent.messages import AgentInfo, AnyMessage
from ser_agent.pipeline.stage import Signalled
from ser_agent.testing import ScriptedSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.rig import Rig

    from ser_agent.agent import Agent, Outcome
    from ser_agent.audio import AudioFrame
    from ser_agent.commands import Command, Reply


class Radio(ScriptedSource):
    """A live source that plays what it is given, one programme each time that it is opened, and is then silent."""

    def __init__(self, *programmes: Sequence[AudioFrame], open_faults: Sequence[Exception] = ()) -> None:
        super().__init__([], live=True, open_faults=open_faults)
        self.is_open = False
        self.is_silent = False
        self._programmes = list(programmes)

    def open(self) -> None:
        super().open()
        self.is_silent = False
        self.is_open = True

    def frames(self) -> Iterator[AudioFrame]:
        yield from self._programmes.pop(0) if self._programmes else ()
        self.is_silent = True  # all of it has been taken by who listens
        self._closed.wait()

    def close(self) -> None:
        self.is_open = False
        super().close()


class Life:
    """An agent that runs in a thread of its own until the ``with`` block ends."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.agent: Agent = rig.agent()
        self.outcome: Outcome | None = None
        self.fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            self.outcome = self.agent.run()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.fault = error

    def ask(self, command: Command) -> Reply:
        return self.rig.ask(command).get(timeout=PATIENCE_S)

    def told(self, kind: type[AnyMessage]) -> list[AnyMessage]:
        return [message for message in self.rig.record.messages if isinstance(message, kind)]

    def instance(self) -> str:
        wait_until(lambda: self.told(AgentInfo), "it tells who it is")
        (info,) = self.told(AgentInfo)
        assert isinstance(info, AgentInfo)
        return info.instance

    def wait_for(self, message: AnyMessage) -> None:
        wait_until(lambda: self.told(type(message))[-1:] == [message], f"it tells {message!r}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it, as systemd would."""
        self.rig.occurrences.put(Signalled(signal.SIGTERM))
        self.wait()

    def wait(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()
