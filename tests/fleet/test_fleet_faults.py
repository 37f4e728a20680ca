"""Three workers and forty satellites on a real broker, and what may befall them. After each, the books balance."""

from __future__ import annotations

import random
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.fleet import (
    Crew,
    Satellites,
    WorkerProcess,
    belongings,
    heard_now,
    make_remote,
    replies,
)
from support.mqtt import Listener, Mosquitto, wait_until
from support.obedient import ANSWER, DIE, GO, NOBODY, SLEEP, WAIT, install

from ser_agent.audio_files import read_utterance
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.testing import context

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.audio import Samples
    from ser_agent.ports import Answer, ModelInfo

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

CLIPS = sorted((Path(__file__).parents[1] / "data").glob("*.opus"))
SATELLITES = 40
ANSWER_WITHIN_S = 60.0
"""In tests of what must not get lost: a machine may be so busy that ten seconds are not enough."""
PATIENT = {"answer_within_s": ANSWER_WITHIN_S, "no_worker_after_s": ANSWER_WITHIN_S}


@pytest.fixture(autouse=True)
def nothing_is_left_behind(ears: Listener) -> Iterator[None]:
    """No thread and no file of a satellite outlives it."""
    wait_until(lambda: ears.connected, "the listener is there, also after a restart of the broker")
    threads, files = belongings()
    yield
    wait_until(lambda: belongings()[0] <= threads, "all threads end", ANSWER_WITHIN_S)
    assert belongings()[1] <= files


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where workers find the obedient classifier."""
    folder = tmp_path_factory.mktemp("fleet")
    install(folder / "site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "site"))
        yield folder


@pytest.fixture(scope="module")
def house_broker(mosquitto: str, folder: Path) -> Iterator[Mosquitto]:
    """The broker of all these tests."""
    with Mosquitto(mosquitto, folder) as running:
        yield running


@pytest.fixture(scope="module")
def all_workers(house_broker: Mosquitto, folder: Path) -> Iterator[Crew]:
    """The three workers, started where they are wanted."""
    with Crew(*(WorkerProcess(folder, house_broker.port, f"worker-{n}") for n in (1, 2, 3))) as crew:
        yield crew


@pytest.fixture(scope="module")
def ears(house_broker: Mosquitto) -> Iterator[Listener]:
    """Hears all that workers say."""
    with Listener(house_broker.port, topic="+/+/+") as listener:
        yield listener


@pytest.fixture
def spy(ears: Listener) -> Listener:
    """Hears what workers say; of what they have said in other tests, only which of them are there."""
    stale = [index for index, heard in enumerate(ears.heard) if "/workers/" not in heard.topic]
    for index in reversed(stale):  # one by one: more may come meanwhile, at the end
        del ears.heard[index]
    return ears


@pytest.fixture(scope="module")
def heard_here() -> tuple[ModelInfo, list[Samples], list[Answer]]:
    """What the embedded model hears in this process: its description, the clips, and the answers."""
    classifier = Wav2Vec2Classifier(Wav2Vec2Options(threads=1), context())
    model = classifier.load()
    clips = [read_utterance(clip) for clip in CLIPS]
    answers = [classifier.classify([heard_now(clip.copy())])[0] for clip in clips]
    classifier.close()
    return model, clips, answers


@pytest.fixture
def crew(all_workers: Crew, spy: Listener) -> Crew:
    """Three workers that run."""
    all_workers.complete(spy)
    return all_workers


def conserved(satellites: Satellites, **expected: int) -> None:
    """Everything that was asked came to something, and to what was expected."""
    satellites.join()
    assert satellites.outcomes == Counter(expected)
    assert sum(expected.values()) == satellites.asked


def told(spy: Listener, satellites: Satellites, *states: str) -> list[dict[str, Any]]:
    """What workers have said to these satellites in those states."""
    return replies(spy, *states, house=f"{satellites.house}-")


def answers_of(spy: Listener, satellites: Satellites) -> Counter[str]:
    """How often each of their utterances was answered, as far as the spy has heard."""
    return Counter(reply["id"] for reply in told(spy, satellites, "answered", "non_speech"))


def answered_by(spy: Listener, satellites: Satellites) -> Counter[str]:
    """How many answers each worker gave them, as far as the spy has heard."""
    return Counter(reply["worker"] for reply in told(spy, satellites, "answered", "non_speech"))


def hear_of_each(spy: Listener, satellites: Satellites) -> None:
    """Wait until the spy, too, has heard an answer to each of their utterances."""
    wait_until(
        lambda: len(answers_of(spy, satellites)) >= satellites.asked, "the spy hears all answers", ANSWER_WITHIN_S
    )


def test_three_workers_answer_forty_satellites_each_utterance_once(
    house_broker: Mosquitto, spy: Listener, folder: Path, crew: Crew
) -> None:
    with Satellites(house_broker.port, folder, SATELLITES, **PATIENT) as satellites:
        satellites.talk(4, together=2)
        satellites.say(satellites.all[0], [(NOBODY, 0)] * 3)
        conserved(satellites, answered=4 * SATELLITES, non_speech=3)
        assert satellites.counts()["again"] == satellites.counts()["duplicates"] == 0
    hear_of_each(spy, satellites)
    assert set(answers_of(spy, satellites).values()) == {1}
    assert set(answered_by(spy, satellites)) == {worker.name for worker in crew.workers}


def test_a_worker_killed_in_the_middle_of_a_batch_loses_nothing(
    house_broker: Mosquitto, spy: Listener, folder: Path, crew: Crew
) -> None:
    victim, go = crew.workers[0], folder / "site" / GO
    go.unlink(missing_ok=True)
    with Satellites(house_broker.port, folder, SATELLITES, **PATIENT) as satellites:
        for satellite in satellites.all:
            satellites.say(satellite, [(WAIT, number) for number in range(3)], together=3)
        wait_until(
            lambda: begun(spy, satellites, victim.name), "the worker has begun with something", ANSWER_WITHIN_S
        )
        victim.kill()
        go.touch()
        conserved(satellites, answered=3 * SATELLITES)
        assert satellites.counts()["again"] >= 1
    hear_of_each(spy, satellites)
    others = {reply["id"] for reply in told(spy, satellites, "answered") if reply["worker"] != victim.name}
    assert begun(spy, satellites, victim.name)
    assert begun(spy, satellites, victim.name) <= others, "others answer what it had"


def begun(spy: Listener, satellites: Satellites, worker: str) -> set[str]:
    """What a worker has begun with, and not answered."""
    taken = {reply["id"] for reply in told(spy, satellites, "taken") if reply["worker"] == worker}
    return taken - {reply["id"] for reply in told(spy, satellites, "answered") if reply["worker"] == worker}


def test_a_broker_that_is_restarted_loses_nothing(
    house_broker: Mosquitto, spy: Listener, folder: Path, crew: Crew
) -> None:
    with Satellites(house_broker.port, folder, SATELLITES, **PATIENT) as satellites:
        for satellite in satellites.all:
            satellites.say(satellite, [(SLEEP, 10 + number) for number in range(4)], together=2)
        wait_until(
            lambda: len(told(spy, satellites, "answered")) > SATELLITES // 4, "some are answered", ANSWER_WITHIN_S
        )
        house_broker.stop()
        house_broker.start()
        conserved(satellites, answered=4 * SATELLITES)
    assert len(answers_of(spy, satellites)) <= 4 * SATELLITES


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_storm_of_kills_and_restarts_loses_nothing(
    house_broker: Mosquitto, spy: Listener, folder: Path, crew: Crew
) -> None:
    """What was twice in the hands of a worker that was killed counts as poisoned: nobody can know better."""
    chance = random.Random(25)  # noqa: S311 - that it comes out alike each time
    with Satellites(house_broker.port, folder, SATELLITES, **PATIENT) as satellites:
        for satellite in satellites.all:
            satellites.say(satellite, [(SLEEP, 10 + n) for n in range(30)], together=3, pause_s=0.2)
        for _ in range(12):
            time.sleep(chance.uniform(0.5, 2.0))
            if chance.random() < 0.25:
                house_broker.stop()
                house_broker.start()
            else:
                victim = chance.choice(crew.workers)
                victim.kill()
                victim.start()
        satellites.join()
        outcomes = satellites.outcomes
    assert set(outcomes) <= {"answered", "poisoned"}
    assert outcomes.total() == satellites.asked == 30 * SATELLITES
    assert outcomes["poisoned"] < SATELLITES


def test_a_slow_worker_holds_up_nobody_for_good(
    house_broker: Mosquitto, spy: Listener, folder: Path, crew: Crew
) -> None:
    with Crew(WorkerProcess(folder, house_broker.port, "slow", delay_s=0.4, batch=2)) as slow:
        slow.complete(spy)
        with Satellites(house_broker.port, folder, SATELLITES, **PATIENT) as satellites:
            satellites.talk(2, together=2)
            conserved(satellites, answered=2 * SATELLITES)
        hear_of_each(spy, satellites)
        assert answered_by(spy, satellites)["slow"] > 0
        assert set(answers_of(spy, satellites).values()) == {1}


def test_workers_come_and_go_while_everybody_talks(
    house_broker: Mosquitto, spy: Listener, folder: Path, crew: Crew
) -> None:
    """Begins with three, one leaves, another one comes: nobody notices."""
    with Crew(WorkerProcess(folder, house_broker.port, "newcomer")) as newcomer:
        with Satellites(house_broker.port, folder, SATELLITES, **PATIENT) as satellites:
            for satellite in satellites.all:
                satellites.say(satellite, [(SLEEP, 5 + number) for number in range(6)], together=2)
            wait_until(
                lambda: len(told(spy, satellites, "answered")) > SATELLITES // 4,
                "some are answered",
                ANSWER_WITHIN_S,
            )
            assert crew.workers[2].stop() == 0
            newcomer.complete(spy)
            satellites.talk(2)
            conserved(satellites, answered=8 * SATELLITES)
        hear_of_each(spy, satellites)
        by = answered_by(spy, satellites)
        assert by["newcomer"] > 0
        assert by[crew.workers[2].name] > 0


def test_overload_sheds_what_has_waited_too_long_and_the_newest_are_answered(
    house_broker: Mosquitto, spy: Listener, folder: Path
) -> None:
    with Crew(WorkerProcess(folder, house_broker.port, "only", delay_s=0.25, batch=1, base_topic="busy")) as only:
        only.complete(spy)
        with Satellites(
            house_broker.port, folder, SATELLITES, base_topic="busy", **(PATIENT | {"answer_within_s": 6.0})
        ) as satellites:
            satellites.talk(3, together=3)
            satellites.join()
            shed = satellites.outcomes
            assert set(shed) == {"answered", "expired"}
            assert shed.total() == satellites.asked
            assert shed["expired"] > shed["answered"] > 0
            late = satellites.all[-1]
            wait_until(
                lambda: late.ask([(ANSWER, 7)]) == ["answered"], "what comes later is answered", ANSWER_WITHIN_S
            )


def test_what_kills_two_workers_is_given_to_no_third_and_the_others_are_answered(
    house_broker: Mosquitto, spy: Listener, folder: Path, crew: Crew
) -> None:
    with Satellites(house_broker.port, folder, SATELLITES, **PATIENT) as satellites:
        satellites.talk(3)
        satellites.say(satellites.all[0], [(DIE, 0)])
        conserved(satellites, answered=3 * SATELLITES, poisoned=1)
    wait_until(lambda: sum(not worker.runs for worker in crew.workers) >= 2, "two have ended", ANSWER_WITHIN_S)
    dead = [worker for worker in crew.workers if not worker.runs]
    assert len(dead) == 2
    assert all(worker.process is not None and worker.process.returncode == 9 for worker in dead)


def test_with_no_worker_left_it_is_said_so_soon(house_broker: Mosquitto, spy: Listener, folder: Path) -> None:
    keys = {"base_topic": "nobody", "no_worker_after_s": 0.2, "answer_within_s": ANSWER_WITHIN_S}
    with Satellites(house_broker.port, folder, 2, **keys) as satellites:
        began_s = time.monotonic()
        satellites.talk(2)
        conserved(satellites, no_worker=4)
        assert time.monotonic() - began_s < ANSWER_WITHIN_S
    assert not replies(spy, "answered", house=f"{satellites.house}-")


def test_three_workers_with_the_real_model_hear_what_is_heard_here(
    house_broker: Mosquitto,
    spy: Listener,
    folder: Path,
    heard_here: tuple[ModelInfo, list[Samples], list[Answer]],
) -> None:
    model, clips, here = heard_here
    names = ("real-1", "real-2", "real-3")
    with Crew(
        *(WorkerProcess(folder, house_broker.port, name, delay_s=None, base_topic="real") for name in names)
    ) as real:
        real.complete(spy)
        remote = make_remote(house_broker.port, folder, "living-room", base_topic="real", **PATIENT)
        assert remote.load().labels == model.labels
        there = remote.classify([heard_now(clip.copy()) for clip in clips])
        remote.close()
        for far, near in zip(there, here, strict=True):
            assert far == pytest.approx(near, abs=1e-3)
        answers = partial(replies, spy, "answered", house="living-room")
        wait_until(lambda: len(answers()) >= len(clips), "the spy hears all answers", ANSWER_WITHIN_S)
        assert {reply["model"] for reply in answers()} == {model.name}
