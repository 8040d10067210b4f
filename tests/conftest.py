"""Options of the suite; everything else is plain pytest."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest

from keras_ssl.core import registry


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="Runs the slow proofs too.")
    parser.addoption(
        "--plugin",
        action="append",
        default=[],
        help="Holds the methods of a module of yours against the conformance suite.",
    )
    parser.addoption(
        "--gin_file",
        default=None,
        help="The recipe of the plugin's method; <module>.gin beside it by default.",
    )


def pytest_configure(config):
    for package in ("keras_ssl", *config.getoption("--plugin")):
        registry.load(package)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def float32():
    """Leaves the dtype policy as it was found."""
    yield
    keras.config.set_dtype_policy("float32")
