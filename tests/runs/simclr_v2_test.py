"""SimCLRv2 in tiny size: every stage once, and a second call that does nothing anew."""

import pytest

from keras_ssl.core import run_dir
from keras_ssl.evaluation.fine_tune import FineTune
from keras_ssl.runs import child, encoders
from keras_ssl.runs.simclr_v2 import (
    FINE_TUNED,
    PRETRAINED,
    SELF_DISTILLED,
    STUDENT,
    Pipeline,
)

WORDS = {
    "files": ["methods/simclr_v2.gin", "tiny.gin"],
    "bindings": ["train.evaluation = None"],
    "distil": ["train.epochs = 2", "train.batch_size = 16"],
    "student": [
        "encoders/small_resnet.gin",
        "SmallResNet.widths = (8, 16)",
        "SmallResNet.blocks = (1, 1)",
    ],
    "tune": FineTune(fraction=0.01, epochs=2, batch_size=10),
}


@pytest.mark.slow
def test_it_goes_through_all_stages_and_goes_on(tmp_path, monkeypatch):
    pipeline = Pipeline(tmp_path, precision="float32", test_split="test[:64]")
    rows = pipeline.run(**WORDS)
    assert [row["stage"] for row in rows] == [FINE_TUNED, SELF_DISTILLED, STUDENT]
    assert all(0 <= row["top1"] <= row["top5"] <= 1 for row in rows)
    _, meta = encoders.read(tmp_path / FINE_TUNED)
    assert (meta["labels"], meta["feature_dim"]) == (10, 10)
    _, student = encoders.read(tmp_path / STUDENT / run_dir.EXPORT)
    assert student["config"]["encoder"]["name"] == "SmallResNet"
    lines = run_dir.read_lines(tmp_path / SELF_DISTILLED / run_dir.METRICS)
    # As sure as its teacher it cannot be; it learns from it all the same.
    assert lines[-1]["loss"] >= lines[-1]["teacher_entropy"] > 0
    assert run_dir.read_json(tmp_path / STUDENT / run_dir.RUN)["method"] == (
        "Distillation"
    )

    def never(*_, **__):
        raise RuntimeError("Trained again.")

    monkeypatch.setattr(child, "run", never)
    monkeypatch.setattr(FineTune, "fit", never)
    assert pipeline.run(**WORDS) == rows
    with pytest.raises(RuntimeError, match="Trained again"):
        Pipeline(tmp_path / "other").run(**WORDS)
    assert (tmp_path / PRETRAINED / run_dir.RUN).exists()
