import numpy as np
import pytest

from keras_ssl.core.audit import compare

WIDE, NARROW = np.zeros((3, 4)), np.zeros(4)


def test_a_full_match():
    found = compare({"a": WIDE, "b": NARROW}, {"b": NARROW, "a": WIDE})
    assert found.fits
    assert str(found) == (
        "2 of 2 variables matched, 0 missing, 0 unexpected, 0 of other shape"
    )
    assert found.hint() == ""


def test_every_name_is_in_one_place():
    model = {"same": WIDE, "shape": WIDE, "gone": WIDE, "mine": WIDE, "half": WIDE}
    file = {"same": WIDE, "shape": NARROW, "new": WIDE, "theirs": WIDE, "half": NARROW}
    found = compare(model, file, ["^mine$", "^theirs", "^half$"])
    assert not found.fits
    assert found.matched == ("same",)
    assert (found.missing, found.unexpected) == (("gone",), ("new",))
    assert dict(found.misshapen) == {"shape": "(4,) instead of (3, 4)"}
    assert (found.kept, found.left_out) == (("half", "mine"), ("theirs",))
    assert str(found) == (
        "1 of 5 variables matched, 1 missing (gone), 1 unexpected (new), 1 of other "
        "shape (shape (4,) instead of (3, 4)); 2 excepted, which keep their initial "
        "values (half, mine); 1 excepted in the file, which are left out (theirs)"
    )


def test_what_is_excepted_is_left_alone_though_it_fits():
    found = compare({"a": WIDE, "b": WIDE}, {"a": WIDE, "b": WIDE}, ["a"])
    assert found.fits
    assert (found.matched, found.kept) == (("b",), ("a",))


def test_ten_names_are_shown_and_the_rest_counted():
    found = compare({f"v{i:02}": WIDE for i in range(13)}, {})
    assert "13 missing (v00, v01, " in str(found)
    assert "v09 and 3 more)" in str(found)
    assert "v10" not in str(found)


def test_names_that_nearly_match_are_told():
    found = compare({"stem/conv/kernel": WIDE}, {"stem/conv_1/kernel": WIDE})
    assert "'stem/conv_1/kernel' in the file may be 'stem/conv/kernel'" in found.hint()
    assert compare({"kernel": WIDE}, {"offset": WIDE}).hint() == ""


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("stemm/conv", "fits no name.*Did you mean 'stem/conv'"),
        ("(", "no regular expression"),
    ],
)
def test_an_exception_must_fit_something(pattern, words):
    with pytest.raises(ValueError, match=words):
        compare({"stem/conv": WIDE}, {"stem/conv": WIDE}, [pattern])
