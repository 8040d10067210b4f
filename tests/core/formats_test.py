import pytest

import keras_ssl
from keras_ssl.core import formats, run_dir, weights_file


def test_a_later_format_is_refused_with_its_version(tmp_path):
    later = {"format": formats.FORMAT + 1, "written_by": "9.9"}
    run_dir.write_json(tmp_path / run_dir.RUN, later)
    with pytest.raises(ValueError, match=r"written by keras_ssl 9\.9.*Install"):
        run_dir.read_json(tmp_path / run_dir.RUN)
    formats.check({}, "an early one")
    formats.check(formats.stamp(), "this one")


def test_who_wrote_it():
    assert formats.hint(formats.stamp()) == ""
    assert "by keras_ssl 0.0.1; this is" in formats.hint({"written_by": "0.0.1"})
    assert keras_ssl.__version__ in formats.hint({})


def test_weights_are_stamped(tmp_path):
    weights_file.save(tmp_path / "a.npz", {}, {"step": 1})
    _, meta = weights_file.load(tmp_path / "a.npz")
    assert formats.stamp().items() <= meta.items()


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe\x00", b"[1]"])
def test_a_damaged_record_is_said_to_be_one(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"run\.json is damaged: .*Remove it"):
        run_dir.read_json(tmp_path / "run.json")
    assert run_dir.read_json(tmp_path / "none.json") == {}


def test_what_an_earlier_run_cannot_have_bound():
    assert formats.bound_since({}) == ("train.health",)
    assert formats.bound_since(formats.stamp()) == ()
