import pytest

from keras_ssl.core.share import Share


def test_the_whole_batch_is_one_share():
    assert Share().cut(48, 64) == (0, 48, 48, 48, 48)
    assert Share().cut(100, 64) == (0, 100, 50, 50, 100)


def test_a_share_is_cut_along_units():
    assert Share(4, 2, 2).cut(256, 64) == (128, 128, 64, 64, 64)
    # Half a unit each; a third of one; parts that fit into units of 40.
    assert Share(2, 1, 1).cut(48, 64) == (24, 24, 24, 48, 24)
    assert Share(3, 1, 1).cut(48, 64) == (16, 16, 16, 48, 16)
    assert Share(5, 2, 1).cut(80, 64) == (32, 16, 8, 40, 16)


@pytest.mark.parametrize("batch", [16, 60, 80, 96])
@pytest.mark.parametrize("most", [16, 64])
def test_no_piece_crosses_units_and_all_rows_are_made_once(batch, most):
    for replicas in range(1, batch + 1):
        if batch % replicas:
            continue
        for count in (n for n in range(1, replicas + 1) if replicas % n == 0):
            made = []
            for first in range(0, replicas, count):
                cut = Share(replicas, first, count).cut(batch, most)
                assert cut.unit == Share().cut(batch, most).unit
                for row in range(cut.first, cut.first + cut.rows, cut.piece):
                    rows = list(range(row, row + cut.piece))
                    assert len({n // cut.unit for n in rows}) == 1
                    # Copies of the piece that fill the unit stand in its places.
                    assert row % cut.unit % cut.piece == 0
                    made += rows
            assert made == list(range(batch))


def test_a_batch_that_cannot_be_shared():
    with pytest.raises(ValueError, match=r"batch_size 7 cannot be shared .* by 2 repl"):
        Share(2).cut(7, 64)
