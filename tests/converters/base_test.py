import keras
import numpy as np
import pytest

from keras_ssl.converters import base
from keras_ssl.converters.base import Source
from keras_ssl.core.tracing import named_variables

SOURCES = {
    "conv/kernel": Source(("conv.weight",), base.conv_kernel),
    "conv/bias": Source(("conv.bias",)),
    "dense/kernel": Source(("q.weight", "k.weight"), lambda *x: np.concatenate(x).T),
}
IGNORE = (r".*num_batches_tracked$", r"fc\.")


def model():
    made = keras.Sequential(
        [
            keras.layers.Input((4, 4, 3)),
            keras.layers.Conv2D(5, (2, 1), name="conv"),
            keras.layers.Dense(4, use_bias=False, name="dense"),
        ],
        name="net",
    )
    assert set(named_variables(made)) == set(SOURCES)
    return made


def state(prefix=""):
    rng = np.random.default_rng(0)
    shapes = {
        "conv.weight": (5, 3, 2, 1),
        "conv.bias": (5,),
        "q.weight": (2, 5),
        "k.weight": (2, 5),
        "bn.num_batches_tracked": (),
        "fc.weight": (7, 4),
    }
    return {prefix + k: rng.normal(size=s).astype("f2") for k, s in shapes.items()}


def load(arrays, made=None, sources=SOURCES, ignore=IGNORE, **options):
    made = made or model()
    return base.load(arrays, made, sources, ignore, marker="conv.weight", **options)


def test_everything_lands_where_it_belongs():
    made, arrays = model(), state()
    report = load(arrays, made)
    found = {k: v.numpy() for k, v in named_variables(made).items()}
    np.testing.assert_array_equal(
        found["conv/kernel"][1, 0, 2, 4], arrays["conv.weight"][4, 2, 1, 0]
    )
    np.testing.assert_array_equal(found["conv/bias"], arrays["conv.bias"])
    np.testing.assert_array_equal(found["dense/kernel"][:, :2], arrays["q.weight"].T)
    np.testing.assert_array_equal(found["dense/kernel"][:, 2:], arrays["k.weight"].T)
    assert report.assigned == 3
    assert report.ignored == ("bn.num_batches_tracked", "fc.weight")
    assert "3 of 3 variables matched, 0 missing" in str(report)
    assert "2 names ignored (bn.num_batches_tracked, fc.weight)" in str(report)


def dropped(name):
    return {k: v for k, v in state().items() if k != name}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (dropped("conv.bias"), "1 missing from it: conv.bias"),
        (state() | {"conv.extra": np.ones(3)}, "1 unexpected in it: conv.extra"),
        (state() | {"conv.bias": np.ones(4)}, r"conv.bias \[\(4,\)\].* is \(5,\)"),
        (state() | {"conv.weight": np.ones(4)}, r"wrong shape.*conv.weight \[\(4,\)\]"),
        (state() | {"conv.bias": np.full(5, np.nan)}, "conv.bias .*not finite"),
    ],
)
def test_nothing_is_assigned_where_anything_is_wrong(arrays, words):
    made = model()
    before = [w.copy() for w in made.get_weights()]
    with pytest.raises(ValueError, match=words) as error:
        load(arrays, made)
    assert "does not fit net" in str(error.value)
    for old, new in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(new, old)


def test_all_that_is_wrong_is_said_at_once_and_ten_names_at_most():
    many = {f"extra{i:02d}": np.ones(1) for i in range(12)}
    arrays = dropped("conv.bias") | many | {"q.weight": np.ones((3, 5))}
    with pytest.raises(ValueError, match="1 missing") as error:
        load(arrays)
    said = str(error.value)
    assert "12 unexpected in it: extra00" in said
    assert "extra09 and 2 more" in said
    assert "extra10" not in said
    assert "q.weight + k.weight" in said


def test_a_converter_that_forgets_a_variable_is_caught():
    less = {k: v for k, v in SOURCES.items() if k != "conv/bias"}
    with pytest.raises(ValueError, match="without a source: conv/bias"):
        load(dropped("conv.bias"), sources=less)
    more = {**SOURCES, "conv/scale": Source(("conv.bias",))}
    with pytest.raises(ValueError, match="model does not have: conv/scale"):
        load(state(), sources=more)


@pytest.mark.parametrize(
    ("here", "other", "take"),
    [
        ("", None, ""),
        ("module.", None, "module."),
        ("teacher.backbone.", "student.module.backbone.", "teacher.backbone."),
        (
            "state_dict.module.encoder_q.",
            "state_dict.module.encoder_k.",
            "state_dict.module.encoder_q.",
        ),
        ("base_encoder.", "momentum_encoder.", "base_encoder."),
    ],
)
def test_prefixes(here, other, take):
    arrays = state(here)
    if other:
        arrays |= {k: -v for k, v in state(other).items()}
    made = model()
    report = load(arrays, made)
    assert report.prefix == take
    np.testing.assert_array_equal(made.get_weights()[1], arrays[f"{take}conv.bias"])
    assert len(report.outside) == (6 if other else 0)
    assert not other or f"under '{take}'" in str(report)


def test_ambiguous_and_absent_prefixes():
    arrays = state("a.") | state("b.")
    with pytest.raises(ValueError, match=r"several networks, under a\., b\..*`prefix`"):
        load(arrays)
    assert load(arrays, prefix="b.").prefix == "b."
    with pytest.raises(ValueError, match=r"no name that ends in 'conv.weight'.*x\.y"):
        load({"x.y": np.ones(2)})
    # `deconv.weight` is another name, not `conv.weight` with a prefix.
    assert load(state() | {"fc.deconv.weight": np.ones(2)}).prefix == ""


def test_nested_checkpoints_are_flattened():
    tree = {"state_dict": {"a.b": np.ones(2)}, "epoch": 3, "ema": {"n": {"c": "x"}}}
    assert list(base.flatten(tree)) == ["state_dict.a.b"]
