"""One suite for every registered method; a new method gets it for no lines.

A plugin's: pytest tests/conformance --plugin=their_module
What is marked slow runs there too; of shipped methods with --slow.
"""

import inspect
import re

import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.callbacks.probe import Probe
from keras_ssl.core import config, registry, tracing, weights_file
from keras_ssl.export import saved_model
from keras_ssl.layers.batch_norm import BatchNorm
from keras_ssl.memory.queue import Queue
from keras_ssl.methods import base
from keras_ssl.metrics.signs import COMPARED, GENERAL
from tests import harness, mutations
from tests.conformance import short_types, spans


@pytest.fixture(scope="module")
def shared(entry, gin_file):
    """A bench for tests that leave it as it is, or further on."""
    bench = harness.Bench(entry, gin_file)
    bench.start = weights_file.values(tracing.named_variables(bench.method))
    return bench


def test_is_declared(entry):
    target = entry.target
    assert re.match(r"https://\S+", target.paper)
    assert 1980 < target.year < 2100
    assert target.family
    assert target.spans in base.SPANS


def test_recipe_uses_all_that_it_binds(entry, gin_file):
    # The whole run is not called here: that `train` uses every binding is seen in
    # the tests of the trainer.
    config.parse([harness.recipe(entry, gin_file), "tiny.gin"])
    assert isinstance(config.value("train", "method"), entry.target)
    assert config.value("train", "views").num_views >= entry.target.num_views


def test_one_trace_makes_all_variables(shared):
    before = list(tracing.named_variables(shared.method))
    (scalars,) = shared.steps(1)
    assert np.isfinite(list(scalars.values())).all()
    assert list(tracing.named_variables(shared.method)) == before


def test_gradients_reach_what_trains_and_nothing_else(shared):
    method = shared.method
    names = {id(v): k for k, v in tracing.named_variables(method).items()}
    with tf.GradientTape() as tape:
        for memory in method.memories:
            tape.watch([v.value for v in memory.variables])
        loss = method._loss(shared.batch(0))["loss"]
    trained = method.trainable_variables
    frozen = [v for memory in method.memories for v in memory.variables]
    gradients = tape.gradient(loss, [v.value for v in (*trained, *frozen)])
    for variable, gradient in zip(trained, gradients, strict=False):
        assert gradient is not None, f"no gradient reaches {names[id(variable)]}"
        assert np.all(np.isfinite(gradient)), names[id(variable)]
    assert all(g is None for g in gradients[len(trained) :])


def test_probe_finds_its_signs_and_changes_nothing(shared):
    method = shared.method
    before = weights_file.digest(weights_file.values(shared.state))
    made = (*GENERAL, *(COMPARED if method.compared else ()), *method.signs)
    probe = Probe(method, made, lambda count: shared.batch(0), 16)
    # Eagerly: for one probe a graph costs more than it saves.
    probe.run = probe._read
    values = probe()
    assert set(values) >= {sign.name for sign in (*GENERAL[:1], *method.signs)}
    assert np.isfinite(list(values.values())).all()
    assert weights_file.digest(weights_file.values(shared.state)) == before
    # And none is amiss in a method that has just begun.
    for sign in made:
        value = values.get(sign.name)
        assert value is None or sign.state(value, value) < 2, sign.name


@pytest.fixture
def at_start(shared):
    """The shared bench as it began: an objective may change once something is known."""
    weights_file.assign(
        tracing.named_variables(shared.method), shared.start, "the start"
    )
    return shared


def check_span(bench):
    declared, found = bench.method.spans, spans.found(bench.method, bench.batch(0))
    assert declared == found, f"spans is {declared!r}, but the objective: {found}"


def test_span_is_as_declared(at_start):
    check_span(at_start)


@pytest.mark.parametrize("name", ["SimCLR", "BarlowTwins"])
def test_wrong_span_is_found(name, monkeypatch):
    bench = harness.Bench({e.name: e for e in harness.methods()}[name])
    for wrong in {*base.SPANS} - {bench.method.spans}:
        with monkeypatch.context() as patch:
            patch.setattr(type(bench.method), "spans", wrong)
            with pytest.raises(AssertionError, match=f"spans is '{wrong}', but"):
                check_span(bench)
    # And an objective that forgets the other replicas, on one already.
    for mutation in mutations.ALL.values():
        if mutation.method == name and mutation.seen is mutations.ALONE:
            for module in mutation.modules:
                monkeypatch.setattr(module, "distribute", mutation.seen)
    with pytest.raises(AssertionError, match="but the objective: nothing"):
        check_span(bench)


def test_variables_say_how_replicas_write_them(shared):
    method = shared.method
    for name, variable in tracing.named_variables(method).items():
        # Each replica writes the same number into a copy of its own, which needs no
        # traffic and is what a TPU can scatter into; replicas_test compares copies.
        assert variable.aggregation == "none", name
        assert variable.synchronization == "auto", name
        # Randomness comes with the batch.
        assert "seed_generator" not in name
    for variable in method.optimizer.variables:
        # The counter is Keras's own, and the first replica's everywhere.
        counts = variable is method.optimizer.iterations
        assert variable.aggregation == ("only_first_replica" if counts else "none")


@pytest.mark.slow
def test_chunks_give_the_gradients_of_the_whole_batch(entry, gin_file, monkeypatch):
    # Without batch statistics, the one thing that a chunk changes; and with a smooth
    # activation: at 0 a ReLU's slope jumps with the last digit.
    real = BatchNorm.call
    monkeypatch.setattr(
        BatchNorm, "call", lambda norm, x, training=False: real(norm, x)
    )
    monkeypatch.setattr(tf.nn, "relu", tf.nn.silu)
    bench = harness.Bench(entry, gin_file)
    method, batch = bench.method, bench.batch(0)

    def derive():
        step = method._derive(batch, method.trainable_variables, lambda loss: loss)
        names = {id(v): k for k, v in tracing.named_variables(method).items()}
        named = [names[id(v)] for v in method.trainable_variables]
        return step, dict(zip(named, step.gradients, strict=True))

    whole, want = derive()
    spec = tf.nest.map_structure(tf.TensorSpec.from_tensor, batch)
    method._accumulate(4, spec)
    step, got = derive()
    # Sums run in another order: as far apart as with the same rows in another order
    # (seen 1.4e-5 in the first layer of two methods; the others are within 1e-5).
    harness.gradients_agree(got, want, 2e-5)
    # In one pass, other scalars are means over chunks.
    same = ["loss"] if method._derive.alone else list(whole.scalars)
    for name in same:
        np.testing.assert_allclose(step.scalars[name], whole.scalars[name], 1e-5, 1e-6)


@pytest.mark.slow
def test_only_products_are_computed_in_16_bits(entry, gin_file, monkeypatch):
    short_types.check_step(entry, gin_file, "mixed_bfloat16", monkeypatch)


@pytest.mark.slow
def test_restored_run_goes_on_bit_by_bit(shared, entry, gin_file, tmp_path):
    shared.steps(2)
    weights_file.save(tmp_path / "w.npz", weights_file.values(shared.state), {})
    expected = shared.steps(1, first=2)
    # Other layers made in between, and another seed: names and values still fit.
    second = harness.Bench(entry, gin_file, seed=1)
    weights_file.assign(second.state, weights_file.load(tmp_path / "w.npz")[0], "w.npz")
    assert second.steps(1, first=2) == expected
    digests = {
        weights_file.digest(weights_file.values(b.state)) for b in (shared, second)
    }
    assert len(digests) == 1


@pytest.mark.slow
def test_export_equals_call(shared, tmp_path):
    encoder = shared.method.product
    shared.steps(1)
    saved_model.export(encoder, tmp_path / "export", 32, {})
    pixels = harness.images(5)
    want = encoder(tf.cast(pixels, tf.float32) / 255.0, training=False)
    served = tf.saved_model.load(str(tmp_path / "export")).signatures
    got = served["serving_default"](images=pixels)["features"]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
    encoded = tf.stack([tf.io.encode_png(image) for image in pixels])
    got = served["serve_image_bytes"](image_bytes=encoded)["features"]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_loss_falls_and_features_do_not_collapse(entry, gin_file, monkeypatch):
    # A queue stays as it begins: it would hold the very images of the batch, and what
    # is told from itself gets harder to tell.
    monkeypatch.setattr(Queue, "push", lambda queue, rows: None)
    bench = harness.Bench(entry, gin_file, rows=8)
    # No further than the rate is above 0: later only targets and centers move.
    losses = [step["loss"] for step in bench.steps(16, same=True)]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    features = bench.method(bench.batch(0)["views"][0])
    spread = np.std(tf.math.l2_normalize(features, -1), axis=0)
    assert spread.mean() > 0.05 / np.sqrt(features.shape[-1])


@pytest.mark.parametrize("part", registry.entries(), ids=lambda e: f"{e.kind}-{e.name}")
def test_every_argument_is_documented(part):
    text = inspect.getdoc(part.target)
    for name in inspect.signature(part.target).parameters:
        if name not in ("self", "args"):
            assert re.search(rf"^\s+\*{{0,2}}{name}: ", text, re.M), (
                f"{part.name} does not document {name!r}"
            )
