from __future__ import annotations

import threading

from ser_agent.commands import BUSY, OPEN_REQUESTS, STOPPING, CommandDesk, HealthCheck, Reply, Request, Restart


def test_a_request_goes_up_and_its_answer_comes_back_once() -> None:
    taken: list[Request] = []
    answers: list[Reply] = []
    desk = CommandDesk(taken.append)
    desk.submit(Restart(), answers.append)
    (request,) = taken
    assert request.command == Restart()
    assert answers == []
    request.answer(Reply({"a": 1}))
    request.answer(Reply({"a": 2}))
    assert answers == [Reply({"a": 1})]


def test_few_requests_wait_at_a_time_and_the_others_are_told_so_at_once() -> None:
    taken: list[Request] = []
    answers: list[Reply] = []
    desk = CommandDesk(taken.append)
    for _ in range(10_000):
        desk.submit(HealthCheck(), answers.append)
    assert len(taken) == OPEN_REQUESTS
    assert [reply.error for reply in answers] == [BUSY] * (10_000 - OPEN_REQUESTS)
    taken[0].answer(Reply())
    desk.submit(HealthCheck(), answers.append)
    assert len(taken) == OPEN_REQUESTS + 1


def test_once_closed_everybody_is_told_that_the_agent_is_stopping() -> None:
    taken: list[Request] = []
    answers: list[Reply] = []
    desk = CommandDesk(taken.append)
    desk.submit(HealthCheck(), answers.append)
    desk.close()
    desk.submit(HealthCheck(), answers.append)
    assert [reply.error for reply in answers] == [STOPPING, STOPPING]
    taken[0].answer(Reply())
    assert len(answers) == 2


def test_an_answer_may_ask_for_the_next_thing() -> None:
    taken: list[Request] = []
    desk = CommandDesk(taken.append)
    again = threading.Event()

    def ask_again(_: Reply) -> None:
        desk.submit(HealthCheck(), lambda _: None)
        again.set()

    desk.submit(HealthCheck(), ask_again)
    taken[0].answer(Reply())
    assert again.is_set()
    assert len(taken) == 2
