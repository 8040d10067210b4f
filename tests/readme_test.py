"""README and docs say what is so: tables are generated, the example runs.

`python tests/readme_test.py` writes the generated parts anew.
"""

import pathlib
import re
import subprocess
import sys

import pytest

from keras_ssl.core import console, registry, run_dir
from keras_ssl.runs import (
    evaluation_table,
    listing,
    prove_records,
    prove_table,
    scale_text,
)

ROOT = pathlib.Path(__file__).parents[1]
README = ROOT / "README.md"
SCALING = ROOT / "docs" / "scaling.md"
EVALUATION = ROOT / "docs" / "evaluation.md"


def scores(folder, baseline, name):
    """Lines of a run's table: its encoder, the same untrained, and a baseline."""
    last = {names: row["top1"] for names, row in prove_records.final(folder).items()}
    rows = {
        "encoder": "trained encoder",
        "random_init": "the same, untrained",
        baseline: name,
    }
    return ["| features | kNN top-1 | linear probe top-1 |", "|---|---|---|"] + [
        f"| {text} | {last[row, 'knn']:.3f} | {last[row, 'linear']:.3f} |"
        for row, text in rows.items()
    ]


def quickstart():
    """The recorded run's table and how long it took."""
    folder = ROOT / "docs" / "quickstart"
    record = run_dir.read_json(folder / run_dir.RUN)
    lines = scores(folder, "raw_pixels", "raw pixels")
    seconds = record["seconds"]
    lines += [
        "",
        f"{record['total_steps']} steps of {record['batch_size']} images, "
        f"{record['parameters']['encoder']:,} parameters in the encoder, "
        f"{record['precision']}, {console.duration(seconds['total'])} in all, "
        f"of which scoring during training "
        f"{seconds['online_evaluation'] / seconds['training']:.1%} of the training "
        f"time. Command: `tools/quickstart.sh`; record: `docs/quickstart/`.",
    ]
    return "\n".join(lines)


def runs():
    """Scores of the recorded runs beside those of the untrained encoders."""
    lines = ["| method | kNN top-1 | linear probe top-1 | steps | in all |"]
    lines += ["|---|---|---|---|---|"]
    raw = {}
    for folder in sorted((ROOT / "docs" / "runs").iterdir()):
        record = run_dir.read_json(folder / run_dir.RUN)
        found = prove_records.final(folder)
        cells = {names: f"{row['top1']:.3f}" for names, row in found.items()}
        raw |= {n: row["top1"] for (s, n), row in found.items() if s == "raw_pixels"}
        knn, linear = (
            f"{cells['encoder', name]} ({cells['random_init', name]})"
            if ("encoder", name) in cells
            else ""
            for name in ("knn", "linear")
        )
        lines.append(
            f"| {record['method']} | {knn} | {linear} | {record['total_steps']} "
            f"| {console.duration(record['seconds']['total'])} |"
        )
    lines.append(f"| raw pixels | {raw['knn']:.3f} | {raw['linear']:.3f} | | |")
    return "\n".join(lines)


def recordings():
    """Scores of a run on recordings, by speaker."""
    folder = ROOT / "docs" / "recordings" / "cpc"
    record = run_dir.read_json(folder / run_dir.RUN)
    lines = scores(folder, "spectrum", "mean spectrum")
    lines += [
        "",
        f"{record['total_steps']} steps of {record['batch_size']} windows from "
        f"{record['data']['images']:,} recordings, {record['precision']}, "
        f"{console.duration(record['seconds']['total'])} in all.",
    ]
    return "\n".join(lines)


def methods():
    return "\n".join(
        f"| {r['name']} | {r['summary']} | [{r['year']}]({r['paper']}) "
        f"| `{r['config']}` |"
        for r in listing.rows("method")
        if r["config"]
    )


def scale():
    """The recorded plan past this machine, a column for each number of devices."""
    report = run_dir.read_json(ROOT / "docs" / "scaling" / "simclr_resnet50.json")
    rows = scale_text.columns(report)
    lines = [f"| {' | '.join(rows[0])} |", "|---" * len(rows[0]) + "|"]
    lines += [f"| {' | '.join(row.values())} |" for row in rows]
    head = "\n\n".join(scale_text.heading(report))
    return "\n".join([head, "", *lines, "", f"Command: `{report['command']}`"])


def evaluations():
    """All recorded scores, a table for each encoder."""
    parts = []
    for path in sorted((ROOT / "docs" / "evaluation").glob(f"*/{run_dir.RUN}")):
        record = run_dir.read_json(path)
        rows = run_dir.read_lines(path.with_name(run_dir.EVALUATIONS))
        rows = evaluation_table.at_the_end(rows)
        parts += [
            f"### {path.parent.name}",
            "",
            f"{record['method']}, {record['encoder']['name']} with "
            f"{record['parameters']['encoder']:,} parameters, pretrained on "
            f"`{record['data']['source']}` ({record['data']['images']:,} images) for "
            f"{record['total_steps']:,} steps of {record['batch_size']}.",
            "",
            *evaluation_table.lines(rows),
            "",
        ]
    return "\n".join(parts).rstrip("\n")


def measured(suite):
    """A suite's part of the page of records, without its heading."""
    text = (ROOT / "docs" / "performance.md").read_text()
    return re.search(rf"^## {suite}\n\n(.*?)(?=\n+## |\n*\Z)", text, re.M | re.S)[1]


def accumulate():
    return measured("accumulate")


def streamed():
    return measured("streamed")


# Who makes the generated parts of each page.
PAGES = {
    README: (quickstart, methods, runs, recordings),
    SCALING: (accumulate, streamed, scale),
    EVALUATION: (evaluations,),
}


def generated(text, makers):
    for make in makers:
        name, part = make.__name__, make()
        pattern = rf"(<!-- {name}: [^\n]*-->\n).*?(<!-- end -->)"
        assert re.search(pattern, text, re.S), name
        text = re.sub(pattern, lambda m, p=part: f"{m[1]}{p}\n{m[2]}", text, flags=re.S)
    return text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_generated_parts_are_fresh(page):
    text = page.read_text()
    assert generated(text, PAGES[page]) == text, "run: python tests/readme_test.py"


def test_tables_of_proofs_are_fresh():
    for record in (ROOT / "docs" / "proofs").glob("*/proof.json"):
        page = record.parent.with_name(f"{record.parent.name}.md")
        again = (
            f"run: python tools/prove.py --protocol={record.parent.name} --table_only"
        )
        assert page.read_text() == prove_table.markdown(record.parent), again


@pytest.fixture
def plugin(tmp_path):
    text = README.read_text()
    code = re.search(r"```python\n(\"\"\"Alignment.*?)```", text, re.S)[1]
    recipe = re.search(r"```\n(include .*?)```", text, re.S)[1]
    (tmp_path / "align_uniform.py").write_text(code)
    (tmp_path / "align_uniform.gin").write_text(recipe)
    return tmp_path / "align_uniform.py"


def test_example_trains(plugin):
    command = [sys.executable, ROOT / "tools" / "train.py", f"--plugin={plugin.name}"]
    command += ["--gin_file=align_uniform.gin", "--gin_file=tiny.gin"]
    command += ["--gin=train.evaluation = None"]
    subprocess.run(command, check=True, cwd=plugin.parent)
    record = run_dir.read_json(plugin.parent / "runs" / "align_uniform" / run_dir.RUN)
    assert record["method"] == "AlignUniform"
    assert record["status"] == "finished"


@pytest.mark.slow
def test_example_passes_the_conformance_suite(plugin):
    command = [sys.executable, "-m", "pytest", "-q", "tests/conformance"]
    command += [f"--plugin={plugin}", "-k", "AlignUniform", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"\b(\d+) passed", done.stdout)
    assert passed is not None, done.stdout
    assert int(passed[1]) > 10, done.stdout


if __name__ == "__main__":
    registry.load()
    for page, makers in PAGES.items():
        page.write_text(generated(page.read_text(), makers))
