"""The power fails at any system call: what was accepted or remembered is there, whatever else is lost."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.events import an_event
from support.outbox import Machine, folder_in_memory, number_of, reopened
from support.power_cut import Disk, restore, watch
from support.power_victims import LINES, lines_sink

from ser_agent.state import StateFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.power_cut import Call

SEED = 20261127
HOME = Path("new", "home")
"""The folder of the program; the one that both are in is there for good."""
LATER = 1_000_000
"""The number of an event after the cut."""
WAYS = {
    "nothing that was not synced is there": (0.0, False),
    "all that was written is there": (1.0, False),
    "any half of the sectors is there": (0.5, False),
    "most sectors are there, and the others scrambled": (0.8, True),
}
SAMPLES = pytest.mark.parametrize(
    ("count", "most"),
    [(40, 60), pytest.param(120, None, marks=[pytest.mark.long, pytest.mark.timeout(1800)])],
    ids=["some_moments", "every_moment"],
)


@dataclass(frozen=True, slots=True)
class Cut:
    """What is found after one.

    Attributes:
        where: when it was, and what of the disk was lost.
        home: the folder that the program had.
        said: what it had said until then, by what it was about.
    """

    where: str
    home: Path
    said: dict[str, list[int]]


def chosen(calls: list[Call], rng: random.Random, most: int | None) -> set[int]:
    """After how many calls to cut: everywhere, or at so many places, half of them right after a report."""
    everywhere = range(1, len(calls) + 1)
    if most is None:
        return set(everywhere)
    said = [number for number in everywhere if calls[number - 1].is_report]
    return {*rng.sample(said, min(most // 2, len(said))), *rng.sample(everywhere, most // 2)}


def cuts(root: Path, calls: list[Call], most: int | None) -> Iterator[Cut]:
    """Cuts in every way at some moments, or at all."""
    rng = random.Random(SEED)  # noqa: S311 - not a secret
    wanted = chosen(calls, rng, most)
    disk = Disk()
    said: dict[str, list[int]] = {}
    for number, call in enumerate(calls, start=1):
        if call.is_report:
            what, value = call.data.decode().split()
            said.setdefault(what, []).append(int(value))
        else:
            disk.do(call)
        for way, (share, scrambled) in WAYS.items() if number in wanted else ():
            with folder_in_memory() as name:
                restore(disk.cut(rng, share, scrambled=scrambled), root, Path(name))
                yield Cut(f"after call {number}, {call.name}: {way}", Path(name, HOME), said)


def lost_events(cut: Cut) -> set[int]:
    """Open the outbox, see that it is sound and works on, and tell what it has lost."""
    accepted, arrived = set(cut.said.get("accepted", ())), set(cut.said.get("arrived", ()))
    machine = Machine()
    machine.reboot()
    with reopened(cut.home, machine) as box:
        waiting = [number_of(kept.item) for kept in box.outbox._waiting]
        assert waiting == sorted(set(waiting)), cut.where
        assert set(waiting) <= accepted | {len(accepted)}, f"one is invented {cut.where}"
        assert box.outbox.lost == 0, cut.where
        box.accept(LATER)
    assert not accepted or not list(cut.home.glob("*.broken*")), f"it cannot be used {cut.where}"
    with reopened(cut.home, machine) as box:
        assert box.deliver(99) == [*waiting, LATER], cut.where
    return accepted - arrived - set(waiting)


def lost_facts(cut: Cut) -> set[int]:
    """Read the state file, and tell what it should say and doesn't."""
    remembered = cut.said.get("remembered", [-1])[-1]
    state = StateFile(cut.home / "agent-0.json")
    found = state.read("steering").get("number", -1)
    state.close()
    return set() if found in {remembered, remembered + 1} else {remembered}


KEEPERS = pytest.mark.parametrize(
    ("what", "lost_of"), [("outbox", lost_events), ("state", lost_facts)], ids=["outbox", "state file"]
)


@SAMPLES
@KEEPERS
def test_a_power_cut_takes_nothing_that_was_accepted_or_remembered(
    tmp_path: Path, what: str, lost_of: Callable[[Cut], set[int]], count: int, most: int | None
) -> None:
    calls = watch(what, tmp_path, tmp_path / HOME, count)
    tried, lost = 0, []
    for cut in cuts(tmp_path, calls, most):
        tried += 1
        lost += [f"{gone} {cut.where}"] if (gone := lost_of(cut)) else []
    print(f"{what}: {tried} cuts in {len(calls)} calls, {sum(call.is_report for call in calls)} of them reports")
    assert not lost


@KEEPERS
def test_of_one_that_does_not_wait_for_the_disk_such_cuts_do_take_something(
    tmp_path: Path, what: str, lost_of: Callable[[Cut], set[int]]
) -> None:
    calls = watch(what, tmp_path, tmp_path / HOME, 20, "careless")
    lost = [cut.where for cut in cuts(tmp_path, calls, 20) if lost_of(cut)]
    assert {where.partition(": ")[2] for where in lost} >= set(list(WAYS)[::2])
    assert not [where for where in lost if "all that was written" in where]


def test_what_a_power_cut_tears_of_the_json_lines_is_not_continued_by_the_next_line(tmp_path: Path) -> None:
    calls = watch("lines", tmp_path, tmp_path / HOME, 15)
    torn = 0
    for cut in cuts(tmp_path, calls, 20):
        cut.home.mkdir(parents=True, exist_ok=True)
        file = cut.home / LINES
        torn += file.exists() and not file.read_bytes().endswith(b"\n")
        with lines_sink(cut.home) as sink:
            sink.publish(an_event(LATER))
        assert json.loads(file.read_bytes().splitlines()[-1])["id"] == an_event(LATER).id, cut.where
    assert torn, "it is about something"
