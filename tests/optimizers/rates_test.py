"""Rates of parts, decay that changes, and clipping of the whole batch's gradient."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_ssl.core.tracing import named_optimizer_variables
from keras_ssl.optimizers import LAMB, LARS, SGD, AdamW
from keras_ssl.optimizers.rates import Share, layer_decay, share_out
from keras_ssl.schedules import LearningRate

ALL = pytest.mark.parametrize("make", [SGD, LARS, LAMB, AdamW])
SHAPES = {"encoder/kernel": (3, 2), "encoder/bias": (2,), "head/kernel": (2, 4)}


def weights(names=SHAPES):
    rng = np.random.default_rng(0)
    values = {n: rng.normal(size=SHAPES[n]).astype(np.float32) for n in names}
    return {n: keras.Variable(v, name=n.replace("/", "_")) for n, v in values.items()}


def gradients(step, scale=1.0):
    rng = np.random.default_rng(100 + step)
    every = {n: rng.normal(size=s).astype(np.float32) for n, s in SHAPES.items()}
    return {n: scale * g for n, g in every.items()}


def trained(optimizer, steps=3, rates=None, compiled=False, scale=1.0):
    """Weights after each step, by name."""
    variables = weights()
    optimizer.build(list(variables.values()))
    if rates is not None:
        optimizer.set_rates(rates, variables)
    apply = optimizer.apply
    if compiled:
        apply = tf.function(apply, jit_compile=True, autograph=False)
    found = [{n: v.numpy() for n, v in variables.items()}]
    for step in range(steps):
        apply([tf.constant(g) for g in gradients(step, scale).values()])
        found.append({n: v.numpy() for n, v in variables.items()})
    return found


def ramp(step):
    return 0.1 * (1.0 + tf.cast(step, tf.float32))


def agree(got, want, names, rtol=1e-5):
    for a, b in zip(got, want, strict=True):
        for name in names:
            np.testing.assert_allclose(a[name], b[name], rtol, 1e-6, err_msg=name)


@ALL
@pytest.mark.parametrize("compiled", [False, True])
def test_each_part_moves_as_if_all_had_its_rate(make, compiled):
    def rate(step):
        return 0.3 * ramp(step)

    got = trained(
        make(LearningRate(ramp), weight_decay=0.2),
        rates={"^head/": rate, "bias$": 0.5},
        compiled=compiled,
    )
    agree(got, trained(make(LearningRate(ramp), weight_decay=0.2)), ["encoder/kernel"])
    agree(got, trained(make(LearningRate(rate), weight_decay=0.2)), ["head/kernel"])
    half = LearningRate(lambda step: 0.5 * ramp(step))
    agree(got, trained(make(half, weight_decay=0.2)), ["encoder/bias"])


@ALL
def test_a_factor_multiplies_a_rate_that_is_a_number(make):
    got = trained(make(0.2), rates={"head/": 0.25})
    agree(got, trained(make(0.05)), ["head/kernel"])
    agree(got, trained(make(0.2)), ["encoder/kernel", "encoder/bias"])


OPTIONS = [
    *[(make, {}) for make in (SGD, LARS, LAMB, AdamW)],
    (SGD, {"nesterov": True}),
    (LARS, {"nesterov": True}),
    (LARS, {"lr_in_momentum": False}),
    (LARS, {"classic_momentum": False}),
]


@pytest.mark.parametrize(("make", "options"), OPTIONS)
def test_what_has_no_rate_does_not_move_but_its_slots_do(make, options):
    def late(step):
        return tf.where(step < 2, 0.0, 0.1)

    optimizer = make(0.1, weight_decay=0.5, **options)
    slots = []
    original = optimizer.apply

    def apply(grads):
        original(grads)
        names = dict(enumerate(optimizer._trainable_variables))
        by_id = {id(v): str(i) for i, v in names.items()}
        found = named_optimizer_variables(optimizer, by_id)
        slots.append([v.numpy() for n, v in found.items() if n.endswith("/2")])

    optimizer.apply = apply
    states = trained(optimizer, 4, rates={"head/": late})
    start = states[0]["head/kernel"]
    for state in states[1:3]:
        np.testing.assert_array_equal(state["head/kernel"], start)
    assert (states[3]["head/kernel"] != start).all()
    assert all(
        (states[i]["encoder/kernel"] != states[i + 1]["encoder/kernel"]).all()
        for i in range(4)
    )
    inside = make is LARS and options.get("lr_in_momentum", True)
    inside = inside and options.get("classic_momentum", True)
    assert all(np.any(slot) != inside for slot in slots[0])


@pytest.mark.parametrize(("make", "options"), OPTIONS)
def test_what_is_frozen_later_stops_at_once(make, options):
    def early(step):
        return tf.where(step < 2, 0.1, 0.0)

    states = trained(make(0.1, weight_decay=0.5, **options), 4, {"head/": early})
    assert (states[1]["head/kernel"] != states[2]["head/kernel"]).all()
    for state in states[3:]:
        np.testing.assert_array_equal(state["head/kernel"], states[2]["head/kernel"])


@ALL
def test_the_decay_may_change(make):
    def decay(step):
        return tf.where(step < 1, 0.5, 0.0)

    got = trained(make(0.1, weight_decay=decay), 2)
    fixed = trained(make(0.1, weight_decay=0.5), 1)
    agree(got[:2], fixed, SHAPES)
    none = trained(make(0.1, weight_decay=0.0), 2)
    agree(got, none, ["encoder/bias"])
    assert not np.allclose(got[1]["head/kernel"], none[1]["head/kernel"])
    # Of the second step no decay: the slots of both are those of the first.
    again = make(0.1, weight_decay=lambda step: 0.5 * tf.cast(step < 1, tf.float32))
    agree(trained(again, 2, compiled=True), got, SHAPES)


@ALL
def test_all_decays_where_nothing_is_excluded(make):
    states = {}
    for excluded in (None, (), ["kernel"]):
        made = make(0.1, weight_decay=0.5, exclude_from_weight_decay=excluded)
        before, after = trained(made, 1, scale=0.0)
        moved = {n for n in SHAPES if not np.array_equal(before[n], after[n])}
        states[None if excluded is None else tuple(excluded)] = moved
    assert states[None] == {"encoder/kernel", "head/kernel"}
    assert states[()] == set(SHAPES)
    assert states["kernel",] == {"encoder/bias"}


def test_adamw_decays_as_the_paper_says():
    before, after = trained(
        AdamW(0.1, weight_decay=0.5, exclude_from_weight_decay=()), 1, scale=0.0
    )
    for name in SHAPES:
        want = before[name] * (1 - 0.1 * 0.5)
        np.testing.assert_allclose(after[name], want, rtol=1e-6)


def test_adamw_is_that_of_keras():
    plain = keras.optimizers.AdamW(0.1, 0.3, epsilon=1e-8)
    mine = AdamW(0.1, 0.3, exclude_from_weight_decay=())
    want = trained(plain)
    agree(trained(mine), want, SHAPES, rtol=1e-6)
    assert [v.name for v in mine.variables] == [v.name for v in plain.variables]


@ALL
def test_config_keeps_clips_and_decay(make):
    def decay(step):
        return 0.1

    options = {"weight_decay": decay, "exclude_from_weight_decay": (), "clipnorm": 2.0}
    config = make(0.1, **options).get_config()
    assert {k: config[k] for k in options} == options
    assert make.from_config(config).get_config() == config


@ALL
@pytest.mark.parametrize("clip", ["clipnorm", "global_clipnorm", "clipvalue"])
def test_clips(make, clip):
    limit, scale = 0.5, 3.0
    found = gradients(0, scale)
    total = np.sqrt(sum(np.sum(g**2) for g in found.values()))
    want = {
        n: {
            "clipnorm": g * min(1.0, limit / np.linalg.norm(g)),
            "global_clipnorm": g * limit / total,
            "clipvalue": np.clip(g, -limit, limit),
        }[clip]
        for n, g in found.items()
    }
    optimizer, plain = make(0.1, **{clip: limit}), make(0.1)
    first, second = weights(), weights()
    for each, variables, given in ((optimizer, first, found), (plain, second, want)):
        each.build(list(variables.values()))
        each.apply([tf.constant(g) for g in given.values()])
    for n in SHAPES:
        np.testing.assert_allclose(first[n].numpy(), second[n].numpy(), 1e-4, 1e-6)
    slots = zip(optimizer.variables[2:], plain.variables[2:], strict=True)
    for a, b in slots:
        np.testing.assert_allclose(a.numpy(), b.numpy(), 1e-4, 1e-6)
    with pytest.raises(ValueError, match=f"{clip} must be positive or None, got 0.0"):
        make(0.1, **{clip: 0.0})
    with pytest.raises(ValueError, match="Only one"):
        make(0.1, **{clip: 1.0, **dict.fromkeys({"clipnorm", "clipvalue"}, 1.0)})


def test_float16_is_clipped_without_its_scale():
    states = {}
    for scale in (None, 2.0**10):
        variable = keras.Variable([3.0, 4.0])
        optimizer = SGD(1.0, momentum=0.0, clipnorm=2.5)
        if scale:
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, scale)
        optimizer.build([variable])
        optimizer.apply([tf.constant([3.0, 4.0]) * (scale or 1.0)])
        states[scale] = variable.numpy()
    np.testing.assert_allclose(states[None], [1.5, 2.0], rtol=1e-6)
    np.testing.assert_allclose(states[2.0**10], states[None], rtol=1e-6)


_REPLICAS = """
import json, sys
import numpy as np
import keras, tensorflow as tf
from keras_ssl.core import distribute, precision
from keras_ssl.optimizers import LAMB, LARS, SGD, AdamW
from keras_ssl.schedules import LearningRate

count = int(sys.argv[1])
distribute.virtual_cpus(count)
strategy = distribute.make_strategy("mirrored" if count > 1 else "one")
# Of each half of a batch: halves disagree, so that clipping each differs.
rng = np.random.default_rng(0)
halves = rng.normal(size=(3, 2, 4, 3)).astype(np.float32) * [[[[9.0]], [[1.0]]]]
halves = halves.astype(np.float32)
found = {}
with strategy.scope():
    for make in (SGD, LARS, LAMB, AdamW):
        for clip in ("clipnorm", "global_clipnorm", "clipvalue", None):
            for scale in (False, True):
                # All kinds of one of them; of others what differs between them.
                if make is not SGD and (clip == "clipvalue" or scale):
                    continue
                kernel = keras.Variable(np.ones((2, 3), np.float32) * 0.5)
                last = keras.Variable(np.ones((2, 3), np.float32))
                rate = LearningRate(lambda step: 0.1 + 0.1 * tf.cast(step, tf.float32))
                inner = make(rate, weight_decay=lambda step: tf.cast(step, tf.float32),
                             **({clip: 1.0} if clip else {}))
                optimizer = inner
                if scale:
                    optimizer = keras.optimizers.LossScaleOptimizer(inner, 8.0)
                optimizer.build([kernel, last])
                own = lambda step: tf.where(step < 1, 0.0, 0.3)
                inner.set_rates({"last": own, "kernel": 0.5},
                                {"kernel": kernel, "last": last})

                @tf.function(autograph=False)
                def step(both):
                    def one():
                        row = distribute.first_row(tf.zeros([1]))
                        mine = both[row] if count > 1 else tf.reduce_mean(both, 0)
                        mine = mine / distribute.replicas()
                        if scale:
                            mine = mine * optimizer.dynamic_scale
                        gradients = [mine[:2], 2.0 * mine[2:]]
                        precision.apply_gradients(optimizer, gradients, [kernel, last])
                    strategy.run(one)

                for both in halves:
                    step(tf.constant(both))
                values = [tf.convert_to_tensor(v.value).numpy() for v in (kernel, last)]
                found[f"{make.__name__} {clip} {scale}"] = [v.tolist() for v in values]
print(json.dumps(found))
"""


def test_replicas_clip_and_rate_alike(pytestconfig):
    found = []
    for count in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", _REPLICAS, count],
            capture_output=True,
            text=True,
            cwd=pytestconfig.rootpath,
        )
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout.splitlines()[-1]))
    one, two = found
    assert len(one) == 4 * 2 + 3 * 3
    for name in one:
        np.testing.assert_allclose(two[name], one[name], 1e-5, 1e-6, err_msg=name)
    for clip in ("clipnorm", "global_clipnorm", "clipvalue", None):
        a, b = (one[f"SGD {clip} {scale}"] for scale in (False, True))
        np.testing.assert_allclose(a, b, 1e-5, 1e-6, err_msg=clip)
    kinds = [np.asarray(one[f"SGD {c} False"]) for c in ("clipnorm", "global_clipnorm")]
    assert np.abs(kinds[0] - kinds[1]).max() > 1e-2


def test_factors_multiply_in_any_order_and_functions_must_not_meet():
    def slow(step):
        return 0.1

    names = [["encoder/kernel", "vit/kernel"], ["encoder/bias"], ["head/kernel"]]
    rates = {"encoder/": 0.5, "kernel$": slow, "^vit/": 0.1, "bias": slow}
    want = [Share("kernel$", 0.05), Share("bias", 0.5), Share("kernel$", 1.0)]
    assert share_out(rates, names) == want
    assert share_out(dict(reversed(rates.items())), names) == want
    assert share_out({}, names) == [Share()] * 3
    for order in (1, -1):
        rates = dict(list({"^head": slow, "kernel$": slow}.items())[::order])
        with pytest.raises(ValueError, match=r"Both .* give a .*to 'head/kernel'"):
            share_out(rates, names)


@pytest.mark.parametrize(
    ("rates", "kind", "words"),
    [
        ({"heda/": 0.5}, ValueError, "'heda/'.* no variable that is trained.*head/ker"),
        ({"(": 0.5}, ValueError, "no regular expression"),
        ({"head": -0.5}, ValueError, "at least 0, got -0.5"),
        ({"head": float("nan")}, ValueError, "at least 0, got nan"),
        ({"head": True}, TypeError, "must be a schedule .* got True"),
        ({"head": "0.5"}, TypeError, "must be a schedule .* got '0.5'"),
    ],
)
def test_rates_that_cannot_be(rates, kind, words):
    with pytest.raises(kind, match=words):
        share_out(rates, [[name] for name in SHAPES])


def test_many_names_are_told_by_their_beginnings():
    names = [[f"part{i // 4}/dense{i}/kernel"] for i in range(200)]
    with pytest.raises(ValueError, match=r"no variable") as caught:
        share_out({"nothing": 0.5}, names)
    text = str(caught.value)
    assert "part0/dense0, part0/dense1" in text
    assert "and 176 more" in text
    assert "kernel" not in text


def test_rates_are_set_after_building_and_on_all():
    variables, optimizer = weights(), SGD(0.1)
    with pytest.raises(ValueError, match=r"after build\(\)"):
        optimizer.set_rates({"head": 0.5}, variables)
    optimizer.build(list(variables.values()))
    some = {"head/kernel": variables["head/kernel"]}
    with pytest.raises(ValueError, match="2 of 3 trained variables have no name"):
        optimizer.set_rates({"head": 0.5}, some)
    other = {"other": keras.Variable(0.0)}
    with pytest.raises(ValueError, match="no variable that is trained"):
        optimizer.set_rates({"other": 0.5}, variables | other)


def test_slots_keep_their_names():
    variables, optimizer = weights(), AdamW(0.1, clipnorm=1.0)
    optimizer.build(list(variables.values()))
    optimizer.set_rates({"head": lambda step: 0.1, "bias": 0.5}, variables)
    by_id = {id(v): n for n, v in variables.items()}
    plain = keras.optimizers.AdamW(0.1)
    plain.build(list(variables.values()))
    want = list(named_optimizer_variables(plain, by_id))
    assert list(named_optimizer_variables(optimizer, by_id)) == want
    assert "optimizer/momentums/head/kernel" in want


def test_layers_learn_the_slower_the_lower_they_are():
    rates = layer_decay(0.5, 11, below=("patches/", "positions"), more={"last": 0.0})
    names = ["patches/kernel", "vit/block1/kernel", "vit/block11/bias", "norm/gamma"]
    shares = share_out(
        {k: v for k, v in rates.items() if k in ("patches/", "last") or "1/" in k},
        [[name] for name in [*names, "last/kernel"]],
    )
    assert [s.factor for s in shares] == [0.5**12, 0.5**11, 0.5, 1.0, 0.0]
    assert len(rates) == 14
    assert layer_decay(1.0, 1, layers="layer_{}/") == {"layer_1/": 1.0}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 0.0}, "factor=0.0, depth=2"),
        ({"factor": 1.5}, "factor=1.5"),
        ({"depth": 0}, "depth=0"),
        ({"layers": "block"}, "needs '{}'"),
        ({"more": {"a": 1.0}, "below": ["a"]}, r"\['a'\]"),
    ],
)
def test_layer_decay_out_of_range(options, words):
    with pytest.raises(ValueError, match=words):
        layer_decay(**{"factor": 0.5, "depth": 2} | options)
