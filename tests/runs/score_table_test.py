import json

import pytest

from keras_ssl.evaluation.results import fingerprint
from keras_ssl.runs.score_table import protocols, table


def row(value, seed=None, k=20, evaluation="knn", score="top1", **more):
    protocol = {"k": k} | ({} if seed is None else {"seed": seed})
    mark = fingerprint(evaluation, protocol)
    made = {"evaluation": evaluation, "subject": "encoder", "score": score}
    return {**made, score: value, "protocol": protocol, "fingerprint": mark, **more}


def test_a_column_holds_one_protocol():
    one, other = row(0.5), row(0.6, k=200)
    found = table([("a", one), ("b", other)])
    columns = [f"knn top1 {r['fingerprint']}" for r in (one, other)]
    assert found == [
        {"features": "a", columns[0]: "0.500"},
        {"features": "b", columns[1]: "0.600"},
    ]


def test_a_name_is_enough_where_protocols_are_one():
    rows = [("a", row(0.5)), ("b", row(0.6)), ("a", row(0.1, evaluation="linear"))]
    assert table(rows) == [
        {"features": "a", "knn top1": "0.500", "linear top1": "0.100"},
        {"features": "b", "knn top1": "0.600"},
    ]


def test_lines_without_a_fingerprint_get_one():
    old = {k: v for k, v in row(0.5).items() if k not in ("fingerprint", "score")}
    assert table([("a", old), ("b", row(0.6))]) == [
        {"features": "a", "knn top1": "0.500"},
        {"features": "b", "knn top1": "0.600"},
    ]


def test_seeds_become_a_mean_with_bounds():
    rows = [("a", row(value, seed)) for seed, value in enumerate((0.4, 0.6))]
    assert table(rows)[0]["knn top1"] == "0.500 (0.400 to 0.600)"
    # By hand: the mean -/+ 4.303 (t, 2 degrees of freedom) * 0.1 / sqrt(3).
    rows.append(("a", row(0.5, 2)))
    assert table(rows)[0]["knn top1"] == "0.500 (0.252 to 0.748)"


@pytest.mark.parametrize("seed", [None, 1])
def test_of_a_line_that_is_there_twice_the_last_counts(seed):
    # As a resumed run leaves it: it must not count as another seed.
    rows = [("a", row(0.4, seed)), ("a", row(0.5, seed))]
    assert table(rows)[0]["knn top1"] == "0.500"


def test_protocols_are_shown_once_each():
    shown = json.loads(protocols([row(0.1, 0), row(0.2, 1), row(0.3, k=200)]))
    assert [each["k"] for each in shown.values()] == [20, 200]
    assert fingerprint("knn", {"k": 20}) in shown
