import json

import pytest

from keras_ssl.core import run_dir


def test_write_text_makes_folders_and_leaves_one_file(tmp_path):
    path = tmp_path / "a" / "b" / "run.txt"
    for text in ("first", "zweite ä"):
        run_dir.write_text(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert [p.name for p in path.parent.iterdir()] == ["run.txt"]


def test_a_file_that_cannot_be_written_whole_stays(tmp_path):
    path = tmp_path / "run.json"
    run_dir.write_json(path, {"step": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        run_dir.write_json(path, {"step": object()})
    with pytest.raises(UnicodeEncodeError):
        run_dir.write_text(path, "cut here: \udcff")
    assert run_dir.read_json(path) == {"step": 1}


def test_json_round_trip(tmp_path):
    value = {"b": [1, 2.5, None], "a": {"name": "ä"}}
    path = tmp_path / "run.json"
    run_dir.write_json(path, value)
    assert run_dir.read_json(path) == value
    text = path.read_text()
    assert text.endswith("}\n")
    assert text.index('"a"') < text.index('"b"')


def test_what_is_absent_is_empty(tmp_path):
    assert run_dir.read_json(tmp_path / "none") == {}
    assert run_dir.read_lines(tmp_path / "none") == []
    run_dir.keep_lines_before(tmp_path / "none", 3)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / run_dir.METRICS
    for step in range(1, 6):
        run_dir.append_line(path, {"step": step, "loss": step / 3})
    return path


def test_lines_are_appended_and_read(lines):
    rows = run_dir.read_lines(lines)
    assert rows == [{"step": s, "loss": s / 3} for s in range(1, 6)]
    assert len(lines.read_text().splitlines()) == 5


@pytest.mark.parametrize(("step", "kept"), [(0, 0), (3, 3), (5, 5), (9, 5)])
def test_lines_past_a_step_are_dropped(lines, step, kept):
    run_dir.keep_lines_before(lines, step)
    assert [row["step"] for row in run_dir.read_lines(lines)] == [*range(1, kept + 1)]


def test_lines_without_a_step_stay(lines):
    run_dir.append_line(lines, {"evaluation": "knn"})
    run_dir.keep_lines_before(lines, 0)
    assert run_dir.read_lines(lines) == [{"evaluation": "knn"}]


@pytest.mark.parametrize("cut", [1, 2, 10, 22])
def test_a_run_goes_on_after_a_line_cut_short(lines, cut):
    text = lines.read_text()
    lines.write_text(text[:-cut])
    whole = 5 if cut == 1 else 4  # Only the line's end is gone.
    assert len(run_dir.read_lines(lines)) == whole
    # Nothing to drop by step, but what comes next must not join the broken line.
    run_dir.keep_lines_before(lines, 5)
    run_dir.append_line(lines, {"step": 6, "loss": 0.0})
    steps = [row["step"] for row in run_dir.read_lines(lines)]
    assert steps == [*range(1, whole + 1), 6]
    assert all(json.loads(line) for line in lines.read_text().splitlines())
