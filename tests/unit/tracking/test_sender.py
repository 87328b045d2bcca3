import threading
import time

from bertops.tracking.sender import Sender


class Receiver:
    def __init__(self, failures=0):
        self.failures, self.got = failures, []

    def __call__(self, batch):
        if self.failures:
            self.failures -= 1
            raise ConnectionError("away")
        self.got += batch


def test_everything_arrives_once_and_in_order():
    receiver = Receiver()
    sender = Sender(receiver, every_s=0.01)
    for i in range(1000):
        sender.put(i)
    assert sender.close() == 0
    assert receiver.got == list(range(1000))


def test_a_receiver_that_comes_back_gets_everything():
    receiver = Receiver(failures=3)
    sender = Sender(receiver, every_s=0.01)
    for i in range(10):
        sender.put(i)
        time.sleep(0.005)
    assert sender.close() == 0
    assert receiver.got == list(range(10))


def test_put_never_waits_for_a_receiver_that_hangs():
    release = threading.Event()
    sender = Sender(lambda batch: release.wait(5), every_s=0.001, patience_s=0.1)
    started = time.monotonic()
    for i in range(10_000):
        sender.put(i)
    sender.close()
    release.set()
    assert time.monotonic() - started < 2


def test_when_the_receiver_stays_away_the_oldest_are_lost_and_counted(caplog):
    sender = Sender(Receiver(failures=10**9), every_s=0.01, capacity=5, patience_s=0.1)
    for i in range(8):
        sender.put(i)
    assert sender.close() == 8
    assert sender.lost == 3
    assert "8 entries could not be delivered" in caplog.text


def test_what_is_still_being_delivered_when_the_patience_ends_counts_as_lost(caplog):
    release = threading.Event()
    sender = Sender(lambda batch: release.wait(5), every_s=0.01, patience_s=0.2)
    for i in range(10):
        sender.put(i)
    assert sender.close() == 10
    assert "10 entries could not be delivered" in caplog.text
    release.set()
