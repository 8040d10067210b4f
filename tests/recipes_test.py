"""Every shipped configuration parses; every recipe names its paper and command."""

import pytest

from keras_ssl.core import config

RECIPES = [name for name in config.shipped() if name.startswith(("methods", "recipes"))]


@pytest.mark.parametrize("name", config.shipped())
def test_parses(name):
    # These come after a recipe and take macros from it.
    after = name == "tiny.gin" or name.startswith(("views/", "proofs/"))
    config.parse(["base.gin", name] if after else [name])


@pytest.mark.parametrize("name", RECIPES)
def test_builds_at_tiny_size(name):
    config.parse([name, "tiny.gin"])
    method, views = (config.value("train", part) for part in ("method", "views"))
    assert views.num_views >= method.num_views


@pytest.mark.parametrize("name", RECIPES)
def test_header_names_the_paper(name):
    head = (config.root() / name).read_text().split("\n\n")[0]
    assert "https://" in head
    if name.startswith("recipes"):
        assert "Expected:" in head
        assert "Hours:" in head
        assert f"--gin_file={name}" in head
