from __future__ import annotations

import threading

import pytest

from ser_agent.sources.aside import Aside, HangsError

PATIENCE_S = 20.0


def test_what_a_call_returns_or_raises_is_the_caller_s() -> None:
    aside = Aside()
    assert aside.run(lambda: 7, PATIENCE_S) == 7
    with pytest.raises(ZeroDivisionError):
        aside.run(lambda: 1 / 0, PATIENCE_S)
    with pytest.raises(TimeoutError, match="its own"):
        aside.run(lambda: (_ for _ in ()).throw(TimeoutError("its own")), PATIENCE_S)
    assert aside.run(lambda: 8, PATIENCE_S) == 8


def test_while_one_call_hangs_no_other_is_begun_and_afterwards_it_goes_on() -> None:
    aside = Aside()
    gate = threading.Event()
    begun: list[str] = []

    def hang() -> None:
        begun.append("hangs")
        gate.wait(PATIENCE_S)

    with pytest.raises(HangsError):
        aside.run(hang, 0.01)
    with pytest.raises(HangsError):
        aside.run(lambda: begun.append("never"), 0.01)
    gate.set()
    aside.run(lambda: begun.append("afterwards"), PATIENCE_S)
    assert begun == ["hangs", "afterwards"]


def test_calls_from_several_threads_are_made_one_at_a_time() -> None:
    aside = Aside()
    inside = threading.Lock()
    done: list[int] = []

    def call(number: int) -> None:
        assert inside.acquire(blocking=False)
        done.append(number)
        inside.release()

    threads = [threading.Thread(target=aside.run, args=(lambda n=n: call(n), PATIENCE_S)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert sorted(done) == list(range(20))


def test_a_call_that_hangs_does_not_keep_the_process_from_ending() -> None:
    daemons: list[bool] = []
    Aside().run(lambda: daemons.append(threading.current_thread().daemon), PATIENCE_S)
    assert daemons == [True]
