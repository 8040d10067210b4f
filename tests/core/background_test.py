import threading

import pytest

from keras_ssl.core.background import Background


def test_work_goes_on_while_the_caller_does():
    work, free, done = Background(), threading.Event(), []
    work.start(lambda value: (free.wait(60), done.append(value)), 1)
    work.check()
    assert done == []
    free.set()
    work.wait()
    assert done == [1]
    work.wait()


def test_one_piece_is_done_at_a_time():
    work, running, most = Background(), [], []

    def count():
        running.append(1)
        most.append(len(running))
        running.pop()

    for _ in range(20):
        work.start(count)
    work.wait()
    assert most == [1] * 20


@pytest.mark.parametrize("how", ["check", "wait", "start"])
def test_what_goes_wrong_is_raised_once(how):
    work = Background()
    work.start(lambda: 1 / 0)
    work._thread.join()
    with pytest.raises(ZeroDivisionError):
        getattr(work, how)(*[print] * (how == "start"))
    work.check()
    work.wait()
