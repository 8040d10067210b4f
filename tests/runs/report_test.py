"""A report shows what was recorded and seen, needs nothing else, and runs nothing."""

import html.parser
import importlib.util
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks.retrievals import Retrieved
from keras_ssl.core import durable, run_dir
from keras_ssl.encoders.vit import ViT
from keras_ssl.runs import (
    report,
    report_features,
    report_page,
    report_pictures,
    report_records,
    report_svg,
)
from keras_ssl.runs.report_features import Asked, Seen
from tests.made_run import made_run

# Folders may be called so.
EVIL = "<script>document.documentElement.dataset.error = 1<br>"
OTHER = "\"&'x"
VOID = {"meta", "br", "img", "line", "circle", "polyline", "link", "input"}
SECTIONS = (
    *("what-was-run", "scores", "layers", "curves", "health", "map", "retrievals"),
    *("attention-maps", "pictures", "settings"),
)


class Page(html.parser.HTMLParser):
    """What a page holds; an error if a tag is not closed."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.found, self.rows = [], [], []
        self.feed(text)
        assert not self.stack

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if {"td", "th"} & {*self.stack}:
            self.rows[-1][-1] += data

    def all(self, tag, name=""):
        """Attributes of elements of a tag and a class."""
        return [
            a
            for t, a in self.found
            if t == tag and (not name or name in (a.get("class") or "").split())
        ]


def score(value, subject="encoder", evaluation="knn", mark="a1", **more):
    """A line of evaluations.jsonl."""
    protocol = {"test": {"data": "embedded:32", "images": 64}, "k": mark}
    return {
        "step": 8,
        "evaluation": evaluation,
        "subject": subject,
        "score": "top1",
        "top1": value,
        "health": {},
        "protocol": protocol,
        "fingerprint": mark,
        **more,
    }


def write_records(folder, *scores):
    """Leaves a few lines of metrics, of health, and of scores in a run."""
    for step in range(1, 9):
        row = {"step": step, "loss": 4 - step / 4, "learning_rate": 0.1, "new": 7}
        run_dir.append_line(folder / run_dir.METRICS, row)
    run_dir.append_line(folder / run_dir.METRICS, {"step": 9, "loss": float("nan")})
    for step, state in ((0, "healthy"), (8, "warning")):
        signs = {"features/std": 0.5 + step, "features/rank": None}
        seen = f"because of {EVIL}" if step else ""
        row = {"step": step, "state": state, "signs": signs, "seen": seen}
        run_dir.append_line(folder / run_dir.HEALTH, row)
    for row in scores:
        run_dir.append_line(folder / run_dir.EVALUATIONS, row)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A labelled set of 24 images whose classes have names of the worst kind."""
    folder = tmp_path_factory.mktemp("images")
    for i, name in enumerate([EVIL, OTHER] * 12):
        place = folder / "test" / name
        place.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(i).integers(0, 128, (36, 32, 3))
        picture = (noise + 127 * (i % 2)).astype(np.uint8)
        file = place / f"{i}<b>.png"
        file.write_bytes(tf.io.encode_png(picture).numpy())
    return f"folder:{folder}?labels=folders"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with attention and records."""
    vit = ViT(width=16, depth=1, heads=2, patch_size=8, image_size=32)
    folder = made_run(tmp_path_factory.mktemp("runs") / "run", vit)
    layers = {"block1": 0.4321, "block2": 0.5}
    write_records(
        folder,
        *(score(0.7654), score(0.1234, "random_init"), score(0.5, mark="b2")),
        score(0.5, evaluation="layers", **layers),
    )
    picture = tf.io.encode_png(np.zeros((4, 4, 3), np.uint8)).numpy()
    (folder / run_dir.VIEWS).write_bytes(picture)
    return folder


@pytest.fixture(scope="module")
def made(run, images, tmp_path_factory):
    """A report on that run; returns its path."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    report.report([str(run)], out, Asked(images))
    return out


def page_of(paths, seen="it was not looked at."):
    """The page on runs whose encoders saw what is given."""
    runs = report_records.read([str(path) for path in paths])
    return report_page.page(runs, [seen] * len(runs))


def test_page_is_whole_and_needs_nothing_else(made):
    text = made.read_text()
    page = Page(text)
    assert [a["id"] for a in page.all("section")] == list(SECTIONS)
    links = [a[k] for _, a in page.found for k in ("src", "href", "data") if k in a]
    assert links
    assert all(link.startswith(("#", "data:")) for link in links)
    assert not re.search(r"url\((?!data:)", text)
    assert not re.search(r"@import|https?:", text)
    assert all(a.get("alt") for a in page.all("img"))
    assert all(a.get("aria-label") for _, a in page.found if a.get("role") == "img")
    assert all(a.get("scope") for a in page.all("th"))


def test_names_from_data_are_text(made):
    page = Page(made.read_text())
    # None but the page's own, and no element of a name's.
    assert len(page.all("script")) == 1
    assert not page.all("br")
    names = {a["data-name"] for a in page.all("button") if "data-name" in a}
    assert names == {EVIL, OTHER}
    plane = page.all("div", "plane")[0]
    assert any("<b>.png" in name for name in json.loads(plane["data-names"]))
    assert ["8", "warning", f"because of {EVIL}"] in page.rows


def test_figures_are_those_of_the_records(made, run):
    page = Page(made.read_text())
    knn = [row for row in page.rows if row[0] == "knn"]
    # Not one line: the protocols differ.
    assert sorted((row[2:4], row[-1]) for row in knn) == [
        (["0.500", ""], "b2"),
        (["0.765", "0.123"], "a1"),
    ]
    assert ["block1", "0.432"] in page.rows
    curves = {a["aria-label"]: a for a in page.all("svg")}
    (loss,) = (name for name in curves if name.startswith("training loss"))
    assert loss.endswith("run: 3.75 to 2")
    lines = [json.loads(a["data-values"]) for a in page.all("polyline", "curve")]
    # What is no number is left out.
    assert [[step, 4 - step / 4] for step in range(1, 9)] in lines
    assert [[step, 7] for step in range(1, 9)] in lines
    assert [[0, 0.5], [8, 8.5]] in lines


def test_map_and_retrievals_show_each_image(made):
    page = Page(made.read_text())
    dots = [int(a["data-i"]) for a in page.all("circle") if "data-i" in a]
    assert sorted(dots) == list(range(24))
    tiles = [a["aria-label"] for a in page.all("span", "tile")]
    right = [t for t in tiles if t.endswith(", right")]
    # Classes are bright and dark.
    assert len(right) >= 10
    assert all(f", {EVIL}" in t or f", {OTHER}" in t for t in tiles)
    assert sum("head 2" in t for t in tiles) == 6
    pictures = {path.name for path in (made.parent / "report_files").iterdir()}
    parts = ("layers", "map", "retrievals", "attention")
    assert pictures == {"curves.png", "health.png", *(f"run_{p}.png" for p in parts)}


def test_same_again(made, run, images, tmp_path):
    out = tmp_path / "report.html"
    report.report([str(run)], out, Asked(images))
    assert out.read_bytes() == made.read_bytes()
    for path in (made.parent / "report_files").iterdir():
        assert path.read_bytes() == (tmp_path / "report_files" / path.name).read_bytes()


def test_runs_share_lines_of_one_protocol_only(run, tmp_path):
    other = tmp_path / "other"
    run_dir.write_json(
        other / run_dir.RUN, {"method": "MAE", "seed": 0, "batch_size": 4}
    )
    write_records(other, score(0.25), score(0.9, mark="c3"))
    page = Page(page_of([run, other]))
    (start,) = (
        i for i, row in enumerate(page.rows) if row[:2] == ["evaluation", "run"]
    )
    shared = [row[:4] for row in page.rows[start + 1 : start + 3]]
    assert shared == [
        ["knn", "run", "top1", "0.765"],
        ["knn", "other", "top1", "0.250"],
    ]
    # Whose lines end there.
    assert page.rows[start + 3][:2] == ["evaluation", "measure"]
    titles = [a["aria-label"] for a in page.all("svg")]
    # Losses of two methods are not of one scale.
    assert sum(t.startswith("training loss of ") for t in titles) == 2
    assert sum(t.startswith("learning rate") for t in titles) == 1
    run_dir.write_json(tmp_path / "third" / run_dir.RUN, {"method": "MAE"})
    write_records(tmp_path / "third", score(0.1, mark="d4"))
    assert "do not compare" in page_of([other, tmp_path / "third"])


def test_without_checkpoint_the_records_are_shown(pytestconfig, tmp_path):
    path = pytestconfig.rootpath / "docs" / "runs" / "mae"
    out = tmp_path / "report.html"
    report.report([str(path)], out)
    text = out.read_text()
    assert "There is no map" in text
    assert "has no checkpoint" in text
    assert "no health.jsonl" in text
    page = Page(text)
    rows = [
        json.loads(x) for x in (path / "evaluations.jsonl").read_text().splitlines()
    ]
    (best,) = (
        r
        for r in rows
        if (r["subject"], r["evaluation"]) == ("encoder", "knn") and r["step"] == 624
    )
    (row,) = (row for row in page.rows if row[0] == "knn")
    assert row[2] == f"{best['top1']:.3f}"
    assert ["Precision", "mixed_bfloat16"] in page.rows


def test_recordings_and_unlabelled_data_have_less(run):
    near = Retrieved(np.array([0]), np.array([[2]]), np.array([[0.5]]))
    seen = Seen(
        data="tfds:tones",
        split="test",
        names=("recording 0", "recording 1", "recording 2"),
        points=np.eye(3, 2),
        way="t-SNE",
        labels=None,
        classes=(),
        thumbs=None,
        retrieved=near,
        large={},
        right=None,
        attention={},
        looked=np.arange(2),
        notes=("Recordings have no thumbnails.",),
    )
    text = page_of([run], seen)
    page = Page(text)
    assert len([a for a in page.all("circle") if "data-i" in a]) == 3
    assert not page.all("span", "tile")
    assert not page.all("button")
    assert ["recording 0", "recording 20.50"] in page.rows
    assert "Encoders without attention: run." in text


def test_without_scikit_learn_principal_components(run, images, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "sklearn" else find(name),
    )
    out = tmp_path / "report.html"
    report.report([str(run)], out, Asked(images, images=5))
    text = out.read_text()
    assert "5 examples of folder:" in text
    assert "t-SNE needs scikit-learn" in text
    assert "by the two first principal components" in text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"paths": ["/no/such"]}, ["no run '/no/such'"]),
        ({"paths": []}, ["at least one --run_dir"]),
        ({"paths": ["{run}", "{run}/"]}, ["given twice"]),
        ({"paths": ["{run}", "{images}"]}, ["neither a run", "nor an export"]),
        ({"asked": Asked("tdfs:cifar10")}, ["No dataset named 'tdfs'", "'tfds'"]),
        ({"asked": Asked(split="tset")}, ["no split 'tset'"]),
        ({"asked": Asked("embedded:32", "tset")}, ["no split 'tset'", "test, train"]),
        ({"asked": Asked(images=0)}, ["images must be at least 1, got 0"]),
        ({"out": "there.html"}, ["there.html exists", "--overwrite", "--out"]),
        ({"out": "folder"}, ["is a folder", "--out"]),
        ({"png_dir": "there.html"}, ["is a file", "--png_dir"]),
        ({"png_dir": "folder"}, ["folder exists", "--overwrite"]),
    ],
)
def test_mistakes_are_told_and_leave_nothing(run, tmp_path, change, words):
    (tmp_path / "there.html").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.png").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    places = {"run": str(run), "images": str(tmp_path / "folder")}
    paths = [path.format(**places) for path in change.get("paths", ["{run}"])]
    out = tmp_path / change.get("out", "new.html")
    png_dir = change.get("png_dir") and tmp_path / change["png_dir"]
    with pytest.raises((ValueError, KeyError)) as caught:
        report.report(paths, out, change.get("asked"), png_dir)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.html").read_text() == "mine"


def test_leaves_nothing_where_a_figure_fails(run, tmp_path, monkeypatch):
    def fail(folder, *_):
        (folder / "half.png").write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(report_pictures, "draw", fail)
    monkeypatch.setattr(report_features, "opened", lambda *_: "no look.")
    with pytest.raises(durable.WriteError, match="No space left"):
        report.report([str(run)], tmp_path / "report.html")
    assert not list(tmp_path.iterdir())


def test_overwrites_if_that_is_said(pytestconfig, tmp_path):
    out = tmp_path / "report.html"
    out.write_text("old")
    path = str(pytestconfig.rootpath / "docs" / "runs" / "byol")
    report.report([path], out, overwrite=True)
    assert "BYOL" in out.read_text()


def test_runs_are_called_by_what_tells_them_apart(tmp_path):
    paths = [tmp_path / name for name in ("a/x", "b/x", "y")]
    for path in paths:
        run_dir.write_json(path / run_dir.RUN, {"method": "MAE"})
    found = report_records.read([str(path) for path in paths])
    assert [one.label for one in found] == ["a/x", "b/x", "y"]


def test_long_curves_keep_their_extremes():
    y = np.zeros(5000)
    y[1234], y[4321] = 9.0, -9.0
    made = report_svg.curves(
        "loss", [report_svg.Curve("run", "red", np.arange(5000.0), y)]
    )
    (values,) = (json.loads(a["data-values"]) for a in Page(made).all("polyline"))
    assert [1234, 9] in values
    assert [4321, -9] in values
    assert values[0] == [0, 0]
    assert values[-1] == [4999, 0]
    assert len(values) < 600


@pytest.mark.parametrize(
    ("low", "high", "first", "last"),
    [(0, 1, 0, 1), (0.21, 0.54, 0.2, 0.6), (3, 3, 2.7, 3.3), (0, 0, -1, 1)],
)
def test_ticks_are_round_and_hold_all(low, high, first, last):
    found = report_svg.ticks(low, high)
    assert found[0] == pytest.approx(first, abs=0.11)
    assert found[0] <= low
    assert found[-1] >= high
    assert found[-1] == pytest.approx(last, abs=0.11)
    assert 3 <= len(found) <= 8


def test_opens_in_a_browser(made):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("There is no chromium.")
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [browser, *words, made.as_uri()], capture_output=True, text=True, timeout=120
    )
    (start,) = re.findall("<html[^>]*>", done.stdout)
    assert 'data-ready="yes"' in start
    assert "data-error" not in start
