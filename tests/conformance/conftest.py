"""Every registered method, or a plugin's, in each test that asks for an `entry`."""

import pytest

from tests import harness


def pytest_generate_tests(metafunc):
    if "entry" in metafunc.fixturenames:
        entries = harness.methods(metafunc.config.getoption("--plugin"))
        metafunc.parametrize("entry", entries, ids=lambda e: e.name, scope="module")


@pytest.fixture(scope="module")
def gin_file(pytestconfig):
    return pytestconfig.getoption("--gin_file")
