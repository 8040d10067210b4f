"""Workers as threads, with the collective of a step as a barrier."""

import queue
import random
import threading
import time

import pytest

from keras_ssl.core.agreement import Agreement


class Workers:
    """A chief and others, each with a thread that listens, as `Meeting` has them."""

    def __init__(self, count, steps, seed=0):
        self.count, self.steps, self.seed = count, steps, seed
        self.boxes = [queue.Queue() for _ in range(count)]
        self.all = [
            Agreement(i, count, lambda m, i=i: self.tell(i, m)) for i in range(count)
        ]
        self.barrier = threading.Barrier(count)
        self.found = [{} for _ in range(count)]
        for i in range(count):
            threading.Thread(target=self.listen, args=(i,), daemon=True).start()

    def tell(self, sender, message):
        others = range(1, self.count) if sender == 0 else [0]
        for other in others:
            self.boxes[other].put((sender, message))

    def listen(self, i):
        wait = random.Random(f"{self.seed} {i}")
        while True:
            who, message = self.boxes[i].get()
            time.sleep(wait.random() * 0.01)
            self.all[i].hear(who, message["turn"])

    def work(self, i, asks):
        wait = random.Random(f"work {self.seed} {i}")
        for step in range(1, self.steps + 1):
            self.barrier.wait()
            time.sleep(wait.random() * 0.005)
            if (i, step) in asks:
                self.all[i].ask(asks[i, step])
            if due := self.all[i].due():
                self.found[i][step] = due

    def run(self, asks):
        threads = [
            threading.Thread(target=self.work, args=(i, asks))
            for i in range(self.count)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
        return self.found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [2, 4])
def test_all_do_the_same_after_the_same_step(count, seed):
    chance = random.Random(seed)
    asks = {
        (chance.randrange(count), step): f"what {step}"
        for step in chance.sample(range(1, 20), 4)
    }
    found = Workers(count, 40, seed).run(asks)
    assert all(other == found[0] for other in found)
    done = {what: step for step, names in found[0].items() for what in names}
    assert sorted(done) == sorted(asks.values())
    for (_, step), what in asks.items():
        assert done[what] >= step + 1


def test_the_chief_waits_before_its_next_step():
    """A listener that is late must not let anybody pass the step."""
    workers = Workers(2, 6)
    late, hear = threading.Event(), workers.all[1].hear

    def slow(who, turn):
        late.wait(timeout=0.5)
        hear(who, turn)

    workers.all[1].hear = slow
    found = workers.run({(0, 1): "stop"})
    assert found == [{3: frozenset({"stop"})}] * 2


def test_a_run_alone_does_it_at_once():
    alone = Agreement()
    assert alone.due() == frozenset()
    alone.ask("save")
    alone.ask("stop")
    assert alone.due() == {"save", "stop"}
    assert alone.due() == frozenset()


def test_a_lost_worker_ends_the_waiting():
    chief = Agreement(0, 2, lambda message: None, lambda: "Worker 1 is gone.")
    chief.ask("save")
    with pytest.raises(ConnectionError, match="is gone"):
        chief.due()
