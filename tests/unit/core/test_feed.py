"""The fan-out: bounded, never waiting, never raising."""

import logging
import threading

import pytest

from pymanip_run.core.feed import Feed
from pymanip_run.records import Entry


def item(number):
    return Entry(number, ("T",), (float(number),))


@pytest.fixture
def feed():
    return Feed()


def test_every_subscriber_gets_everything_from_its_beginning_on(feed):
    first = feed.subscribe()
    feed.publish(item(1))
    second = feed.subscribe()
    feed.publish(item(2))
    assert [i.ns for i in first.drain()] == [1, 2]
    assert [i.ns for i in second.drain()] == [2]


def test_draining_empties_the_queue(feed):
    subscription = feed.subscribe()
    feed.publish(item(1))
    assert len(subscription) == 1
    assert subscription.drain() == [item(1)]
    assert len(subscription) == 0
    assert subscription.drain() == []


def test_a_full_queue_drops_its_oldest_items(feed):
    subscription = feed.subscribe(backlog=3)
    for number in range(10):
        feed.publish(item(number))
    assert [i.ns for i in subscription.drain()] == [7, 8, 9]


def test_an_unsubscribed_queue_gets_nothing_more(feed):
    kept, gone = feed.subscribe(), feed.subscribe()
    feed.unsubscribe(gone)
    feed.unsubscribe(gone)
    feed.publish(item(1))
    assert (len(kept), len(gone)) == (1, 0)


def test_it_is_active_only_while_somebody_listens(feed):
    states = [feed.active]
    subscription = feed.subscribe()
    feed.call(print)
    states.append(feed.active)
    feed.unsubscribe(subscription)
    states.append(feed.active)
    feed.uncall(print)
    states.append(feed.active)
    assert states == [False, True, True, False]


def test_a_failing_callback_is_logged_and_not_called_again_and_disturbs_nobody(feed, caplog):
    def fail(item):
        calls.append(item)
        raise RuntimeError("display broken")

    calls, seen = [], []
    subscription = feed.subscribe()
    feed.call(fail)
    feed.call(seen.append)
    with caplog.at_level(logging.ERROR):
        feed.publish(item(1))
        feed.publish(item(2))
    assert len(calls) == 1
    assert "not called again" in caplog.text
    assert "display broken" in caplog.text
    assert [i.ns for i in seen] == [i.ns for i in subscription.drain()] == [1, 2]


def test_the_last_failing_callback_leaves_the_feed_inactive(feed, caplog):
    def fail(_):
        raise RuntimeError("broken")

    feed.call(fail)
    feed.publish(item(1))
    assert not feed.active
    assert caplog.records


def test_a_callback_may_unsubscribe_and_subscribe_while_it_is_called(feed):
    def once(item):
        feed.uncall(once)
        feed.call(seen.append)

    seen = []
    feed.call(once)
    feed.publish(item(1))
    feed.publish(item(2))
    assert [i.ns for i in seen] == [2]


def test_bound_methods_can_be_taken_back(feed):
    seen = []
    feed.call(seen.append)
    feed.uncall(seen.append)
    assert not feed.active


def test_threads_may_publish_subscribe_and_drain_at_once(feed):
    count, publishers = 3000, 4
    subscription = feed.subscribe(backlog=count * publishers)
    got, over = [], threading.Event()

    def publish():
        for number in range(count):
            feed.publish(item(number))

    def come_and_go():
        while not over.is_set():
            feed.unsubscribe(feed.subscribe())

    def drain():
        while not over.is_set():
            got.extend(subscription.drain())

    others = [threading.Thread(target=f) for f in (come_and_go, drain)]
    threads = [threading.Thread(target=publish) for _ in range(publishers)]
    for thread in others + threads:
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    for thread in others:
        thread.join()
    got.extend(subscription.drain())
    assert len(got) == count * publishers
    feed.unsubscribe(subscription)
    assert not feed.active
