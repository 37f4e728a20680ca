from __future__ import annotations

import threading

import pytest
from support.mqtt import PATIENCE_S

from ser_agent.buffer import BoundedQueue, Closed


def test_a_full_queue_drops_its_oldest_item_and_counts_it() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    assert [queue.put(item) for item in (1, 2, 3)] == [None, None, 1]
    assert queue.drain() == [2, 3]
    assert queue.dropped == 1


def test_a_closed_queue_gives_what_it_has_and_then_says_so() -> None:
    queue: BoundedQueue[int] = BoundedQueue(2)
    queue.put(1)
    queue.close()
    assert queue.put(2) == 2
    assert not queue.put_wait(3)
    assert queue.get(0) == 1
    with pytest.raises(Closed):
        queue.get()


def test_nothing_in_time_is_none() -> None:
    assert BoundedQueue[int](1).get(0.01) is None


def test_a_patient_producer_waits_for_room() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    queue.put(1)
    assert not queue.put_wait(2, 0.01)
    producer = threading.Thread(target=queue.put_wait, args=(2,))
    producer.start()
    assert queue.get(PATIENCE_S) == 1
    assert queue.get(PATIENCE_S) == 2
    producer.join(PATIENCE_S)
    assert not producer.is_alive()
    assert queue.dropped == 0


def test_a_waiting_consumer_is_woken_by_the_end() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    woken: list[bool] = []

    def consume() -> None:
        try:
            queue.get()
        except Closed:
            woken.append(True)

    consumer = threading.Thread(target=consume)
    consumer.start()
    queue.close()
    consumer.join(PATIENCE_S)
    assert woken == [True]
