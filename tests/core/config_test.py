"""A run of three parts, registered for this module alone."""

import gin
import pytest

from keras_ssl.core import config, registry


def config_test_run(part, size=1, others=(), make=None):
    """Returns what it was given.

    Args:
        part: A part.
        size: A number.
        others: More parts.
        make: A factory.
    """
    return part, size, tuple(others), make


def config_test_part(width=1, depth=2, inner=None):
    """Returns its widths.

    Args:
        width: A number.
        depth: A number.
        inner: A part.
    """
    return (width, depth, inner)


def config_test_other(width=1):
    """Returns its width.

    Args:
        width: A number.
    """
    return ("other", width)


def config_test_needy(amount, unit):
    """Needs two values.

    Args:
        amount: A number.
        unit: A word.
    """
    return amount, unit


@pytest.fixture(scope="module", autouse=True)
def parts():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "_ENTRIES", dict(registry._ENTRIES))
        registry.register("run")(config_test_run)
        for part in (config_test_part, config_test_other, config_test_needy):
            registry.register("views")(part)
        yield


@pytest.fixture(autouse=True)
def clean():
    yield
    gin.clear_config()
    config._DROPPED.clear()


BASE = """
width = 3
config_test_run.part = @first/config_test_part()
first/config_test_part.width = %width
"""


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base.gin"
    path.write_text(BASE)
    return str(path)


def run():
    return config.call("config_test_run")


def test_later_files_and_bindings_win(base, tmp_path):
    (tmp_path / "more.gin").write_text("width = 4\nconfig_test_run.size = 5")
    more = str(tmp_path / "more.gin")
    config.parse([base])
    assert run() == ((3, 2, None), 1, (), None)
    config.parse([base, more])
    assert run() == ((4, 2, None), 5, (), None)
    config.parse([base, more], ["width = 6", "config_test_run.size = 7"])
    assert run() == ((6, 2, None), 7, (), None)
    # Nothing of the last parse is left.
    config.parse([base])
    assert run() == ((3, 2, None), 1, (), None)


def test_plain_python_does_not_see_bindings(base):
    config.parse([base], ["config_test_part.depth = 9"])
    assert run()[0] == (3, 9, None)
    assert config_test_part() == (1, 2, None)


def test_arguments_of_a_call_win_over_bindings(base):
    config.parse([base], ["config_test_run.size = 7"])
    assert config.call("config_test_run", size=8)[1] == 8


def test_references_with_brackets_build_and_without_pass_factories(base):
    config.parse([base], ["config_test_run.make = @config_test_other"])
    assert run()[3]() == ("other", 1)
    assert config.value("config_test_run", "part") == (3, 2, None)
    assert config.value("config_test_run", "size") is None


def test_resolved_is_without_macros(base):
    lines = [
        "inner = %deep",
        "deep = 'a %width in a string'",
        "config_test_run.size = (%width, {'of': %inner})",
        "config_test_run.others = [%long]",
        f"long = {['x' * 30] * 5}",
    ]
    config.parse([base], lines)
    run()
    found = config.resolved()
    assert "first/config_test_part.width = 3\n" in found
    assert "config_test_run.size = (3, {'of': 'a %width in a string'})" in found
    assert found.count("x" * 30) == 5
    assert not any(
        line.startswith(("inner", "deep", "#")) for line in found.split("\n")
    )
    assert "" not in found.split("\n")


def test_includes_are_found_beside_the_shipped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.gin").write_text("include 'methods/simclr.gin'\nimage_size = 64")
    config.parse(["mine.gin"])
    assert "image_size = 64" in config.texts()[0]
    assert "SimCLR.temperature" in config.texts()[0]


def test_shipped_configurations_are_found_by_name():
    names = config.shipped()
    assert names == sorted(names)
    assert {"base.gin", "tiny.gin", "methods/simclr.gin"} <= set(names)
    for name in names:
        assert config.find(name) == str(config.root() / name)


def test_a_path_goes_before_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.gin").write_text("")
    assert config.find("tiny.gin") == "tiny.gin"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "methods/simclt.gin",
            r"No configuration .* Did you mean 'methods/simclr\.gin'",
        ),
        (
            "zzz",
            r"neither as a path from .* nor among the shipped ones\. Known: base\.gin",
        ),
    ],
)
def test_unknown_configurations(name, words):
    with pytest.raises(ValueError, match=words):
        config.parse([name])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("config_test_part.widht = 2", r"widht.*Did you mean 'width'\?.*In --gin="),
        (
            "config_test_prat.width = 2",
            "config_test_prat.*Did you mean 'config_test_part",
        ),
        (
            "config_test_run.part = @config_test_ohter()",
            "Did you mean 'config_test_other",
        ),
        ("config_test_part.width = ", "In --gin='config_test_part.width = '"),
        ("config_test_part.width = [1", "In --gin="),
        ("include 'no_such.gin'", r"no_such\.gin"),
    ],
)
def test_mistakes_in_a_line(base, line, words):
    with pytest.raises(ValueError, match=words) as caught:
        config.parse([base], [line])
    assert "\n" not in str(caught.value)


def test_mistakes_in_a_file_name_the_file(base, tmp_path):
    path = tmp_path / "bad.gin"
    path.write_text("config_test_part.widht = 2")
    with pytest.raises(ValueError, match=r"Did you mean 'width'\? .In .*bad\.gin"):
        config.parse([base, str(path)])


def test_an_unbound_macro_is_an_error(base):
    with pytest.raises(ValueError, match="nowhere") as caught:
        config.parse([base], ["config_test_run.size = %nowhere"])
    assert "\n" not in str(caught.value)


def test_unknown_run():
    with pytest.raises(KeyError, match=r"No run named 'trian'\. Did you mean 'train'"):
        config.call("trian")


def test_all_used(base):
    config.parse([base], ["config_test_run.size = 2"])
    run()
    config.check_used()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "frist/config_test_part.depth = 4",
            r"Nothing uses .*'frist/config_test_part\.depth = 4'\. "
            r"Did you mean 'first/config_test_part\.depth'\?",
        ),
        (
            "config_test_other.width = 4",
            r"'config_test_other\.width = 4'\. .*Remove it",
        ),
        ("spare = 3", "Nothing uses the binding 'spare = 3'"),
        (
            "config_test_other.width = %width",
            "'config_test_other.width = %width'",
        ),
        # Only a call in the scope would see it.
        (
            "first/second/config_test_part.depth = 4",
            "Nothing uses the binding 'first/sec",
        ),
    ],
)
def test_what_nothing_uses_is_refused(base, line, words):
    config.parse([base], [line])
    run()
    with pytest.raises(ValueError, match=words):
        config.check_used()


def test_a_factory_that_nobody_calls_is_no_use(base):
    lines = ["config_test_run.make = @config_test_other", "config_test_other.width = 2"]
    config.parse([base], lines)
    run()
    with pytest.raises(ValueError, match=r"Nothing uses .*config_test_other\.width"):
        config.check_used()
    run()[3]()
    config.check_used()


def test_bindings_of_outer_scopes_are_used(base):
    config.parse([base], ["config_test_part.depth = 4"])
    assert run()[0] == (3, 4, None)
    config.check_used()


def test_bindings_of_a_replaced_part_are_forgiven(base):
    # What only the replaced part used goes with it: its macro, its inner part.
    lines = [
        "first/config_test_part.inner = @config_test_needy",
        "config_test_needy.amount = 3",
        "config_test_run.part = @config_test_other()",
        "config_test_other.width = 8",
    ]
    config.parse([base], lines)
    assert run()[0] == ("other", 8)
    config.check_used()


def test_a_part_replaced_within_one_file_is_forgiven(tmp_path, base):
    path = tmp_path / "two.gin"
    path.write_text(f"include '{base}'\nconfig_test_run.part = @config_test_other()\n")
    config.parse([str(path)])
    assert run()[0] == ("other", 1)
    config.check_used()


def test_optional_parts_are_forgiven(base):
    config.parse(
        [base],
        ["config_test_other.width = 4", "optional.parts = ['config_test_other']"],
    )
    run()
    config.check_used()
    config.parse(
        [base],
        ["config_test_needy.amount = 4", "optional.parts = ['config_test_other']"],
    )
    run()
    with pytest.raises(ValueError, match=r"Nothing uses .*config_test_needy\.amount"):
        config.check_used()


def test_each_file_may_have_optional_parts_of_its_own(base):
    words = [
        "config_test_other.width = 4",
        "one/optional.parts = ['config_test_other']",
    ]
    config.parse([base], [*words, "two/optional.parts = ['something_else']"])
    run()
    config.check_used()


def test_the_operative_configuration_repeats_the_call(base, tmp_path):
    config.parse([base], ["config_test_run.others = [@config_test_other(), 2]"])
    first = run()
    (tmp_path / "operative.gin").write_text(config.texts()[1])
    config.parse([str(tmp_path / "operative.gin")])
    assert run() == first


def test_differences_are_readable(base):
    config.parse([base])
    old = config.texts()[0]
    config.parse(
        [base], ["width = 4", "config_test_run.others = [@config_test_other()]"]
    )
    new = config.texts()[0]
    assert config.differences(old, old) == []
    said = config.differences(old, new)
    assert said[1] == "width was 3, is now 4"
    assert said[0].startswith("config_test_run.others was not set, is now ")
    assert config.differences(new, old)[1] == "width was 4, is now 3"
    replaced = old.replace("@first/config_test_part()", "@config_test_other()")
    assert config.differences(old, replaced) == [
        "config_test_run.part was @first/config_test_part, is now @config_test_other"
    ]


def test_a_missing_value_is_explained():
    config.parse([], ["config_test_run.part = @config_test_needy()"])
    with pytest.raises(TypeError) as caught:
        run()
    assert config.explain(caught.value) == (
        "config_test_needy needs a value for amount, unit. Bind it "
        "(config_test_needy.amount = ...) or give a --gin_file that does."
    )


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("k must be positive."), "k must be positive."),
        (KeyError("No run named 'x'."), "No run named 'x'."),
        (
            ValueError("Wrong.\n  In call to configurable 'KNN' (<class>)"),
            "Wrong.",
        ),
        (ValueError(), ""),
    ],
)
def test_errors_lose_what_gin_adds(error, text):
    assert config.explain(error) == text


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"a.gin": "include 'a.gin'"}, r"include each other: .*a\.gin -> .*a\.gin\.$"),
        (
            {"a.gin": "data = 'x'\ninclude 'b.gin'", "b.gin": 'include "a.gin"'},
            r"include each other: .*a\.gin -> .*b\.gin -> .*a\.gin\.$",
        ),
        ({"a.gin": "x = %y\ny = (1, {2: %x})"}, "%x -> %y -> %x. Give one a value"),
        ({"a.gin": "data = %data"}, "%data -> %data. Give one a value"),
        ({"a.gin": "data = " + "[" * 5000 + "]" * 5000}, "nested too deep.*In .*a.gin"),
        ({"a.gin": "data = {[]: 1}"}, r"unhashable type: 'list' \(In .*a\.gin"),
        ({"a.gin": "import no_such_module"}, "No module named 'no_such_.*In .*a.gin"),
        ({"a.gin": b"# \xe9t\xe9"}, r"a\.gin cannot be read as UTF-8 text"),
        ({"a.gin": "include 'b.gin'", "b.gin": b"\xff"}, r"can't decode.*\(In .*a\.g"),
        ({"a.gin": "include 'b'", "b": None}, r"Unable to open file: b.*\(In .*a\.gin"),
        ({"a.gin": None}, r"No configuration '.*a\.gin'"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, monkeypatch, files, words):
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        if text is None:
            (tmp_path / name).mkdir()
        else:
            (tmp_path / name).write_bytes(
                text if isinstance(text, bytes) else text.encode()
            )
    for _ in range(2):
        with pytest.raises(ValueError, match=words) as caught:
            config.parse(["a.gin"])
        assert "\n" not in str(caught.value)
        # The search path does not grow.
        assert str(caught.value).count(str(config.root())) <= 1


def test_a_string_that_looks_like_a_macro_is_none():
    config.parse([], ["data = '%data'"])


def test_what_is_no_configuration_has_no_table():
    with pytest.raises(ValueError, match="No configuration"):
        config.table("a = (")
