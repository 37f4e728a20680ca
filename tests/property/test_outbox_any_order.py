"""An outbox on disk, whatever is done to it and to the machine: nothing is lost uncounted, order is kept."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from support.outbox import DiskOutbox, Machine, folder_in_memory, number_of

MAX_EVENTS = 6


class AnyLife(RuleBasedStateMachine):
    """Events come, are handed out and answered; the agent ends or is killed; clocks and disks misbehave."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = folder_in_memory()
        self.folder = Path(self._folder.name)
        self.machine = Machine()
        self.accepted = 0
        self.lost_before = 0
        self.settled: set[int] = set()
        self.disk_works = True
        self.box = self.open()

    def open(self) -> DiskOutbox:
        self.under_way: dict[int, int] = {}
        self.latest = -1
        return DiskOutbox.open(self.folder, self.machine, max_events=MAX_EVENTS, max_age_s=1e9)

    @rule()
    def accept(self) -> None:
        self.box.accept(self.accepted)
        self.accepted += 1

    @rule()
    def hand_out(self) -> None:
        if (taken := self.box.outbox.take()) is not None:
            ticket, publication = taken
            number = number_of(publication)
            assert number > self.latest, "out of order"
            assert number not in self.settled, "delivered again after its acknowledgement"
            self.latest = number
            self.under_way[ticket] = number

    @rule(data=st.data(), welcome=st.booleans())
    def answer(self, data: st.DataObject, *, welcome: bool) -> None:
        if not self.under_way:
            return
        ticket = data.draw(st.sampled_from(sorted(self.under_way)))
        number = self.under_way.pop(ticket)
        before = self.box.outbox.lost
        if welcome:
            self.box.outbox.acknowledge(ticket)
        else:
            self.box.outbox.refuse(ticket, "refused")
        self.box.journal.tidy()
        if self.box.outbox.lost == before:
            self.settled.add(number)

    @rule()
    def reconnect(self) -> None:
        self.box.outbox.rewind()
        self.under_way.clear()
        self.latest = -1

    @rule(by_s=st.sampled_from([3600.0, -3600.0, 1e6, -1e6]))
    def set_the_clock(self, by_s: float) -> None:
        self.machine.set_wall(by_s)

    @rule(begins=st.booleans())
    def disk(self, *, begins: bool) -> None:
        assert self.box.journal._database is not None
        self.box.journal._database._connection.execute(f"PRAGMA query_only = {not begins}")
        self.disk_works = begins

    @rule(killed=st.booleans(), reboot=st.booleans())
    def end_and_begin_again(self, *, killed: bool, reboot: bool) -> None:
        if not self.disk_works:
            self.disk(begins=True)
        self.box.journal.sync()
        self.lost_before += self.box.outbox.lost
        if killed:
            self.box.crash()
        else:
            assert self.box.close() == 0
        if reboot:
            self.machine.reboot()
        self.box = self.open()

    @invariant()
    def nothing_is_lost_silently(self) -> None:
        waiting = len(self.box.outbox)
        lost = self.lost_before + self.box.outbox.lost
        assert waiting <= MAX_EVENTS
        assert self.accepted == len(self.settled) + lost + waiting
        assert len(self.box.journal._to_do) <= 2 * MAX_EVENTS, "memory is bounded"

    def teardown(self) -> None:
        self.box.close()
        self._folder.cleanup()


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
