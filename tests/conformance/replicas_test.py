"""Every method gives the same numbers on any number of replicas."""

import json

import pytest

from tests import mutations
from tests import replicas as measuring

COUNTS = (4, 2, 1)
MUTATED = "2, mutated"


@pytest.fixture(scope="module")
def by_replicas(on_replicas, pytestconfig):
    """What `replicas.py` found on 1, 2 and 4 replicas, and on 2 with errors."""
    runs = {count: [f"--replicas={count}"] for count in COUNTS}
    if not pytestconfig.getoption("--plugin"):
        runs[MUTATED] = ["--replicas=2", "--mutations"]
    return dict(zip(runs, on_replicas(*runs.values()), strict=True))


def facts(found):
    """What is known of each thing that was measured of a method."""
    return json.loads(str(found["facts"]))


@pytest.mark.slow
@pytest.mark.parametrize("replicas", COUNTS[:-1])
def test_replicas_agree(entry, by_replicas, replicas):
    one, many = by_replicas[1][entry.name], by_replicas[replicas][entry.name]
    apart = measuring.beyond(one, many)
    assert {name: times for name, times in apart.items() if times > 1.0} == {}


@pytest.mark.slow
@pytest.mark.parametrize("replicas", COUNTS)
def test_every_replica_holds_the_same(entry, by_replicas, replicas):
    # What is compared above are the first replica's copies.
    for name, fact in facts(by_replicas[replicas][entry.name]).items():
        if "copies" in fact:
            assert (fact["copies"], fact["apart"]) == (replicas, 0), name
            # A mirror that each replica writes itself; nothing is summed when read.
            expected = ("none", "only_first_replica")
            assert fact["aggregation"] in expected, name
            assert fact["synchronization"] == "auto", name


@pytest.mark.slow
def test_all_that_is_compared_has_changed(entry, by_replicas):
    kinds = {}
    for fact in facts(by_replicas[1][entry.name]).values():
        if "moved" in fact and fact["kind"] != "other":
            kinds.setdefault(fact["kind"], []).append(fact["moved"])
    assert {kind for kind, moved in kinds.items() if not any(moved)} == set()
    assert all(kinds["weight"])


@pytest.mark.slow
def test_every_kind_of_state_is_compared(by_replicas, pytestconfig):
    if pytestconfig.getoption("--plugin"):
        pytest.skip("One method has not all of them.")
    every = [f for found in by_replicas[1].values() for f in facts(found).values()]
    assert {fact["kind"] for fact in every} >= measuring.KINDS


@pytest.mark.slow
@pytest.mark.parametrize("name", mutations.ALL)
def test_mutation_is_caught(name, by_replicas):
    mutation = mutations.ALL[name]
    one, mutated = by_replicas[1][mutation.method], by_replicas[MUTATED][name]
    apart = measuring.by_kind(one, mutated)
    if mutation.modules:
        # Far beyond the bound: it is no matter of the last digits.
        assert apart[mutation.shows] > 100.0
    else:
        assert max(apart.values()) <= 1.0
