"""A run says once what its rates, rules and batches come to, and keeps it."""

import re

import pytest

from keras_ssl.core import config, registry, run_dir
from keras_ssl.runs import launch, optimizing, plan, resolved
from keras_ssl.schedules import Clock, cosine_between, fixed
from tests import harness

TINY = ["methods/simclr.gin", "tiny.gin"]
LARGE = [
    "train.evaluation = None",
    "train.optimizer = @LARS",
    "LARS.weight_decay = 1e-6",
    "LARS.momentum = 0.8",
    "rate/cosine.base = 0.075",
    "rate/cosine.warmup_epochs = 1.5",
    "train.learning_rate_scale = 'sqrt'",
    "train.accumulate = 4",
]


def test_a_run_and_its_plan(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "run"
    launch.train(str(folder), TINY, LARGE, precision="float32")
    found = run_dir.read_json(folder / run_dir.RUN)["resolved"]
    said = capsys.readouterr().err
    yes, no = (found[name] for name in ("decayed", "not_adapted"))
    # Four steps an epoch, two epochs; the root of 16.
    lines = [
        "optimizer     LARS, momentum 0.8",
        "rate          0.3: 0.075 scaled by the sqrt rule to a batch of 16",
        f"weight decay  1e-06 of {yes} variables, not of {no}",
        f"adapted       {yes} variables by their norms, {no} not",
        "warm-up       6 of 8 steps (1.5 epochs)",
        "batch         16 images, in 4 chunks of 4",
    ]
    assert "\n".join(lines) in said
    for line in lines:
        assert said.count(line) == 1
    assert found["accumulate"] == found["chunk"] == 4
    assert found["rate"] == pytest.approx(4 * found["base_rate"])
    rows = run_dir.read_lines(folder / run_dir.METRICS)
    # Reached where the warm-up ends.
    assert max(row["learning_rate"] for row in rows) == pytest.approx(found["rate"])
    monkeypatch.setattr(plan._Plan, "_rehearse", lambda self: None)
    launch.train(str(tmp_path / "plan"), TINY, LARGE, precision="float32", plan=True)
    planned = capsys.readouterr().out
    for line in lines:
        assert line.split("  ")[-1] in planned
    assert not (tmp_path / "plan").exists()


@pytest.mark.parametrize(
    ("optimizer", "scale", "batch", "rate"),
    [
        ("LAMB", "linear", 4096, 1.6),
        ("SGD", "none", 64, 0.1),
        ("AdamW", "sqrt", 64, 0.8),
    ],
)
def test_optimizers_and_rules(optimizer, scale, batch, rate):
    (entry,) = (e for e in registry.entries("method") if e.name == "SimCLR")
    method, clock = harness.Bench(entry).method, Clock(8, 4)
    optimizing.compile_method(
        method,
        clock,
        registry.get("optimizer", optimizer),
        value := fixed(clock, 0.1),
        optimizing.SCALES[scale](batch),
        weight_decay=lambda clock: cosine_between(clock, 0.04, 0.4),
    )
    found = resolved.resolve(method, clock, value, scale, batch, 2)
    assert float(method.optimizer.learning_rate) == pytest.approx(rate)
    assert (found["rate"], found["base_rate"]) == pytest.approx((rate, 0.1))
    assert found["weight_decay"] == pytest.approx([0.04, 0.4], rel=0.05)
    kernels = sum(len(v.shape) > 1 for v in method.trainable_variables)
    assert (found["decayed"], found["not_decayed"]) == (
        kernels,
        len(method.trainable_variables) - kernels,
    )
    assert ("adapted" in found) == (optimizer == "LAMB")
    text = resolved.text(found)
    assert re.fullmatch(
        rf"0\.04 to 0\.\d+ of {kernels} variables, not of \d+", text["weight decay"]
    )
    assert text["batch"].endswith(f"in 2 chunks of {batch // 2:,}")
    assert ("scaled" in text["rate"]) == (scale != "none")


def test_recipes_warm_up_for_so_many_epochs():
    seen = 0
    for name in config.shipped():
        if not name.startswith(("methods", "recipes")):
            continue
        # Parts that take long to build and have no say in it.
        config.parse([name], ["train.method = None", "train.views = None"])
        epochs = int(config.value("train", "epochs"))
        value = config.value("train", "learning_rate")(Clock(10 * epochs, 10))
        # Nothing is learned before the latest of these.
        bound = re.findall(
            r"^(?:rate/cosine\w*\.warmup_|first/frozen\.)epochs = (.+)$",
            config.texts()[0],
            re.M,
        )
        warmup = getattr(value, "warmup_steps", 0)
        assert warmup == max(round(10 * float(n)) for n in ["0", *bound]), name
        if warmup:
            seen += 1
            low, peak, later = (float(value(s)) for s in (0, warmup, warmup + 10))
            assert low < peak >= later > 0, name
    assert seen > 30
