"""Options of the suite; everything else is plain pytest."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import pytest

from keras_ssl.core import registry


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="Runs the slow tests too.")
    parser.addoption("--proofs", action="store_true", help="Trains every method.")
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
    # A plugin's method is one: all of its conformance is soon seen.
    asked = {"slow": config.getoption("--slow") or config.getoption("--plugin")}
    asked["proof"] = config.getoption("--proofs")
    for mark, option in (("slow", "--slow"), ("proof", "--proofs")):
        if not asked[mark]:
            skip = pytest.mark.skip(reason=f"{mark}; run with {option}")
            for item in items:
                if mark in item.keywords:
                    item.add_marker(skip)


@pytest.fixture(autouse=True)
def float32():
    """Leaves the dtype policy as it was found."""
    yield
    keras.config.set_dtype_policy("float32")
