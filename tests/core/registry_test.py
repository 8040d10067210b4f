import dataclasses
import itertools
import pkgutil
import sys

import gin
import pytest

from keras_ssl.core import registry

_COUNT = itertools.count()


@pytest.fixture(autouse=True)
def table(monkeypatch):
    """A copy of the table, so that the parts made here leave it."""
    monkeypatch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))


def part(name=None):
    """A new part; gin, unlike the table, keeps its name for good."""

    def target(size=1):
        """Makes a thing.

        More on it.
        """
        return ("made", size)

    target.__name__ = name or f"registry_test_{next(_COUNT)}"
    return target


def test_registering_returns_the_part_untouched_and_lists_it():
    target = part()
    assert registry.register("run")(target) is target
    assert registry.get("run", target.__name__) is target
    entry = next(e for e in registry.entries("run") if e.target is target)
    assert (entry.kind, entry.summary) == ("run", "Makes a thing.")
    assert entry.module == __name__
    assert target() == ("made", 1)


def test_another_name_is_what_table_and_gin_know():
    target = part()
    registry.register("run", "registry_test_alias")(target)
    assert registry.get("run", "registry_test_alias") is target
    assert target.__name__ not in registry.names("run")
    gin.clear_config()
    gin.parse_config("registry_test_alias.size = 7")
    assert gin.get_configurable("registry_test_alias")() == ("made", 7)
    # Plain Python does not see gin.
    assert target() == ("made", 1)
    gin.clear_config()


def test_a_name_is_taken_once_for_each_kind():
    target, other = part("registry_test_twice"), part("registry_test_twice")
    registry.register("run")(target)
    assert registry.register("run")(target) is target
    with pytest.raises(ValueError, match="run 'registry_test_twice' is already regist"):
        registry.register("run")(other)
    assert registry.get("run", "registry_test_twice") is target


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("methods", "Unknown kind 'methods'. Did you mean 'method'"),
        ("x", "Known: .*run"),
    ],
)
def test_unknown_kind(kind, words):
    with pytest.raises(ValueError, match=words):
        registry.register(kind)
    with pytest.raises(ValueError, match=words):
        registry.entries(kind)


class Documented:
    """Has a docstring."""


def _without():
    def target():
        pass

    return target


def _inheriting():
    return type("Inheriting", (Documented,), {"__module__": __name__})


def _generated():
    return dataclasses.make_dataclass("Generated", [("size", int)])


@pytest.mark.parametrize("make", [_without, _inheriting, _generated])
def test_a_docstring_of_its_own_is_needed(make):
    target = make()
    with pytest.raises(ValueError, match=f"{target.__name__}.* needs a docstring"):
        registry.register("run")(target)
    assert target.__name__ not in registry.names("run")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SimCRL", r"No method named 'SimCRL'\. Did you mean 'SimCLR'\?"),
        ("simclr", r"Did you mean 'SimCLR'\?"),
        ("zzzz", r"No method named 'zzzz'\. Known: .*SimCLR"),
    ],
)
def test_get_names_the_nearest(name, words):
    with pytest.raises(KeyError, match=words):
        registry.get("method", name)


def test_get_looks_in_its_kind_only():
    with pytest.raises(KeyError, match="No encoder named 'SimCLR'"):
        registry.get("encoder", "SimCLR")


def test_entries_are_sorted_by_kind_and_name():
    for name in ("registry_test_b", "registry_test_a"):
        registry.register("method")(part(name))
    entries = registry.entries()
    keys = [(registry.KINDS.index(e.kind), e.name) for e in entries]
    assert keys == sorted(keys)
    assert {e.kind for e in entries} >= {"method", "encoder", "run", "dataset"}
    assert registry.names("method") == sorted(registry.names("method"))


def test_name_of_a_part_and_of_an_instance():
    class Thing(Documented):
        """Makes a thing."""

    registry.register("run", "registry_test_thing")(Thing)
    assert registry.name_of(Thing) == "registry_test_thing"
    assert registry.name_of(Thing()) == "registry_test_thing"
    with pytest.raises(KeyError, match="Documented is not registered: decorate it"):
        registry.name_of(Documented())


def test_load_takes_a_file_and_a_package(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    package = tmp_path / "registry_test_package" / "deep"
    package.mkdir(parents=True)
    line = (
        "from keras_ssl.core.registry import register\n"
        "@register('run')\ndef registry_test_{}():\n    'Does.'\n"
    )
    (package.parent / "__init__.py").write_text("")
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text(line.format("deep"))
    (tmp_path / "registry_test_file.py").write_text(line.format("file"))
    registry.load(str(tmp_path / "registry_test_file.py"))
    assert "registry_test_file" in registry.names("run")
    monkeypatch.chdir(tmp_path)
    registry.load("registry_test_package")
    assert "registry_test_deep" in registry.names("run")


def test_load_of_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    words = "No module named 'registry_test_none' to load parts from"
    with pytest.raises(ValueError, match=words):
        registry.load("registry_test_none")
    # What a plugin misses is the plugin's error.
    (tmp_path / "registry_test_needy.py").write_text("import registry_test_missing\n")
    with pytest.raises(ModuleNotFoundError, match="registry_test_missing"):
        registry.load("registry_test_needy")


def test_load_leaves_the_binaries_alone(monkeypatch):
    # In an installed wheel they are a part of the package.
    found = [pkgutil.ModuleInfo(None, "keras_ssl.tools.train", False)]
    monkeypatch.setattr(pkgutil, "walk_packages", lambda *_, **__: found)
    monkeypatch.setitem(sys.modules, "keras_ssl.tools.train", None)
    registry.load("keras_ssl")


def test_parameters():
    assert registry.parameters(part()) == ["size"]
    assert registry.parameters(registry.get("head", "MLP"))[:2] == [
        "widths",
        "last_norm",
    ]


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("TEMPRATURE", ["temperature", "momentum"], " Did you mean 'temperature'?"),
        ("x", ["b", "a", "b"], " Known: a, b."),
        ("x", [], " Known: none."),
    ],
)
def test_did_you_mean(name, known, hint):
    assert registry.did_you_mean(name, known) == hint
