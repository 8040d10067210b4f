"""The comparison of replicas catches each error that libraries make across them."""

import pytest

from tests import mutations
from tests import replicas as measuring

METHODS = sorted({mutation.method for mutation in mutations.ALL.values()})


@pytest.fixture(scope="module")
def apart(on_replicas, pytestconfig):
    """How far each mutation on 2 replicas is from 1 replica, in bounds, by kind."""
    if pytestconfig.getoption("--plugin"):
        pytest.skip("The mutations are of shipped methods.")
    one, mutated = on_replicas(
        ["--replicas=1", f"--methods={','.join(METHODS)}"],
        ["--replicas=2", "--mutations"],
    )
    return {
        name: measuring.by_kind(one[mutation.method], mutated[name])
        for name, mutation in mutations.ALL.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", mutations.ALL)
def test_mutation_is_caught(apart, name):
    mutation = mutations.ALL[name]
    if mutation.modules:
        # Far beyond the bound: it is no matter of the last digits.
        assert apart[name][mutation.shows] > 100.0
    else:
        assert max(apart[name].values()) <= 1.0
