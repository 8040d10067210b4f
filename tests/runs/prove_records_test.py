"""Statistics over seeds, and which records may stand in one table."""

import json

import pytest

from keras_ssl.core import run_dir
from keras_ssl.runs import prove_job, prove_records, prove_table

PROOF = {"about": "Little.", "bound": 0.04, "seeds": [0, 1], "command": "prove"}
ENCODER = {"name": "SmallResNet", "config": {"name": "a", "widths": [8]}}


def write(folder, method="simclr", seed=0, knn=0.5, linear=0.6, **changes):
    """A record as a run leaves it; `changes` go to run.json, `train` to the scores."""
    train = changes.pop("train", 100)
    record = folder / method / f"seed{seed}"
    record.mkdir(parents=True)
    content = {
        "status": "finished",
        "method": changes.pop("name", method.upper()),
        "family": "contrast",
        "seed": seed,
        "encoder": ENCODER,
        "parameters": {"encoder": 1234, "trained": 2000},
        "data": {
            "source": "embedded:32",
            "split": "train",
            "images": 64,
            "fingerprint": "f",
            "unreadable": seed,
        },
        "batch_size": 16,
        "total_steps": 8,
        "steps_per_epoch": 4,
        "precision": "float32",
        "init_from": None,
        "peak_memory": {"process": 3 * 2**30},
        "seconds": {"total": 60.0},
        "commit": "0123456789",
        "resumed_at": [],
    } | changes
    run_dir.write_json(record / run_dir.RUN, content)
    (record / run_dir.CONFIG).write_text("train.views = @SimCLRViews()\n")
    scores = {
        "encoder": (knn, linear),
        "random_init": (0.2, 0.3),
        "raw_pixels": (0.33, 0.25),
    }
    for subject, pair in scores.items():
        for name, top1 in zip(("knn", "linear"), pair, strict=True):
            row = {
                "step": content["total_steps"] if subject == "encoder" else 0,
                "evaluation": name,
                "subject": subject,
                "top1": top1,
                "health": {"feature_std": 0.9, "rankme": 20.0},
                "protocol": {"train": {"images": train}, "test": {"images": 50}},
            }
            run_dir.append_line(record / run_dir.EVALUATIONS, row)
    for step in range(1, 9):
        row = {"step": step, "seconds": 10.0 * step, "images_per_second": 100.0 + step}
        run_dir.append_line(record / run_dir.METRICS, row)
    return record


@pytest.fixture
def proof(tmp_path):
    folder = tmp_path / "little"
    run_dir.write_json(folder / prove_records.PROOF, PROOF)
    return folder


def test_final_takes_the_runs_own_scores(proof):
    record = write(proof)
    lines = run_dir.read_lines(record / run_dir.EVALUATIONS)
    for row in (lines[0] | {"step": 4, "top1": 0.1}, lines[0] | {"top1": 0.9}):
        run_dir.append_line(record / run_dir.EVALUATIONS, row)
    scores = prove_records.final(record)
    assert scores["encoder", "knn"]["top1"] == 0.5
    assert scores["raw_pixels", "linear"]["top1"] == 0.25
    assert len(scores) == 6


def test_seeds_of_a_method_share_a_row(proof):
    write(proof, seed=0, knn=0.50, linear=0.60)
    write(proof, seed=1, knn=0.54, linear=0.62)
    write(proof, "byol", name="BYOL", knn=0.36, linear=0.31)
    (proof / "byol" / prove_records.REASON).write_text("The rate\nis too low.\n")
    (table,) = prove_records.tables(proof)
    assert list(table.methods) == ["byol", "simclr"]
    assert table.gain("simclr", "knn") == pytest.approx(0.52 - 0.33)
    assert table.best("simclr") == ("linear", pytest.approx(0.61 - 0.3))
    text = prove_table.markdown(proof)
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    cells = {row[0].removeprefix("| "): row[1:] for row in rows}
    assert list(cells)[2:] == ["SIMCLR (`simclr`)", "BYOL (`byol`)", "raw pixels"]
    assert cells["SIMCLR (`simclr`)"] == [
        "contrast",
        "SimCLRViews",
        "16",
        "0, 1",
        "0.520 [0.500, 0.540]",
        "0.610 [0.600, 0.620]",
        "0.200",
        "0.300",
        "+31.0 (linear probe)",
        "yes",
        "104",
        "3.0 GiB",
        "20.0",
        "0.90",
        "1:00",
        "0123456 |",
    ]
    assert cells["BYOL (`byol`)"][8:10] == [
        "+3.0 (kNN)",
        "**short**, seed 1 missing: The rate is too low.",
    ]
    assert cells["raw pixels"][4:6] == ["0.330", "0.250"]


def test_reaching_the_bound_counts_as_reached(proof):
    write(proof, knn=0.33 + 0.04, linear=0.3)
    assert "| yes, seed 1 missing |" in prove_table.markdown(proof)
    run_dir.write_json(proof / prove_records.PROOF, PROOF | {"bound": 0.05})
    assert "**short**, seed 1 missing: reason not known" in prove_table.markdown(proof)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"precision": "mixed_bfloat16"}, 'precision: "float32", "mixed_bfloat16"'),
        ({"total_steps": 16}, "epochs: 2.0, 4.0"),
        ({"steps_per_epoch": 8}, "epochs: 2.0, 1.0"),
        ({"train": 50}, "evaluations.knn.train.images: 100, 50"),
        ({"parameters": {"encoder": 9}}, "encoder.parameters: 1234, 9"),
        (
            {"encoder": ENCODER | {"config": {"widths": [16]}}},
            "encoder.widths: [8], [16]",
        ),
        ({"encoder": ENCODER | {"name": "ViT"}}, "## ViT on embedded:32"),
        ({"init_from": "x"}, 'init_from: none, "x"'),
    ],
)
def test_other_protocols_get_a_table_of_their_own(proof, changes, what):
    write(proof)
    write(proof, "other")
    write(proof, "byol", **changes)
    found = prove_records.tables(proof)
    assert [list(table.methods) for table in found] == [["other", "simclr"], ["byol"]]
    text = prove_table.markdown(proof)
    assert text.count("| method |") == 2
    assert what in text
    assert text.count("Differs") == ("## ViT" not in text)


def test_names_of_encoders_and_unread_images_do_not_part(proof):
    write(proof)
    write(proof, "byol", seed=1, encoder=ENCODER | {"config": {"widths": [8]}})
    assert len(prove_records.tables(proof)) == 1


def test_a_baseline_of_another_protocol_is_an_error(proof):
    record = write(proof)
    lines = run_dir.read_lines(record / run_dir.EVALUATIONS)
    lines[-1]["protocol"]["test"]["images"] = 49
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (record / run_dir.EVALUATIONS).write_text(text)
    with pytest.raises(ValueError, match=r"raw_pixels.*test\.images: 50, 49"):
        prove_records.tables(proof)


def test_seeds_of_differing_recipes_are_an_error(proof):
    write(proof)
    record = write(proof, seed=1)
    (record / run_dir.CONFIG).write_text("train.views = @BYOLViews()\n")
    with pytest.raises(ValueError, match=r"@SimCLRViews, is now @BYOLViews"):
        prove_records.tables(proof)


def test_a_run_without_its_last_score_is_an_error(proof):
    record = write(proof)
    content = run_dir.read_json(record / run_dir.RUN) | {"total_steps": 16}
    run_dir.write_json(record / run_dir.RUN, content)
    with pytest.raises(ValueError, match="no knn of encoder"):
        prove_records.tables(proof)


def test_unfinished_runs_are_left_out_and_failures_shown(proof):
    write(proof, "byol", status="running")
    failure = {"error": "out of | memory"}
    run_dir.write_json(proof / "byol" / "seed0" / prove_records.FAILURE, failure)
    prove_table.write(proof)
    text = proof.with_name("little.md").read_text()
    assert "| byol | 0 | out of \\| memory |" in text
    assert not proof.with_name("little.png").exists()
    assert prove_records.tables(proof) == []


def test_time_is_of_all_sittings(proof):
    record = write(proof, resumed_at=[3, 3, 6])
    run = prove_records.read("simclr", record)
    assert run.seconds == 60 + 30 + 0 + 60
    assert run.images_per_second == 104.5


def test_thinning_keeps_the_ends_of_sittings():
    rows = [{"step": step} for step in range(1, 1001)]
    kept = [row["step"] for row in prove_job.thin(rows, [333])]
    assert {1, 333, 1000} <= set(kept)
    assert 90 < len(kept) <= prove_job.MOST_METRICS + 2
    assert prove_job.thin(rows[:7]) == rows[:7]
    assert prove_job.thin([]) == []


def test_draws_a_panel_a_table_and_evaluation(proof):
    write(proof, knn=0.5)
    write(proof, seed=1, knn=0.55)
    write(proof, "mae", encoder=ENCODER | {"name": "ViT"})
    prove_table.write(proof)
    assert proof.with_name("little.png").read_bytes().startswith(b"\x89PNG")
