import keras
import pytest

from keras_ssl.runs import benchmark_step


def test_both_sides_are_the_same_network():
    for encoder, weights in (("resnet18", 11.17e6), ("vit_tiny", 5.35e6)):
        sides = [make() for make in benchmark_step._ENCODERS[encoder].values()]
        counts = []
        for side in sides:
            side(keras.ops.zeros((2, 32, 32, 3)))
            counts.append(
                sum(v.value.shape.num_elements() for v in side.trainable_variables)
            )
        # He et al. 2015 with a 3x3 stem and a projected first shortcut; Touvron et
        # al. 2020 with patches of 4 px.
        assert counts[0] == counts[1]
        assert counts[0] == pytest.approx(weights, rel=0.01)


def test_a_row_for_each_side_and_precision():
    policy = keras.config.dtype_policy().name
    found = benchmark_step.rows(
        2, rounds=2, precisions=["float32"], encoders=["resnet18"]
    )
    assert [(r["layers"], r["precision"]) for r in found] == [
        ("plain Keras", "float32"),
        ("keras_ssl", "float32"),
    ]
    assert found[0]["speedup"] == 1.0
    assert found[0]["weights"] == found[1]["weights"]
    for row in found:
        assert row["rounds"] == 2
        seconds = row["milliseconds"] / 1000
        assert row["images_per_second"] == pytest.approx(2 / seconds, rel=0.05)
    assert keras.config.dtype_policy().name == policy


@pytest.mark.parametrize(
    "words", [{"batch_size": 1}, {"rounds": 0}, {"encoders": ["resnet19"]}]
)
def test_refuses(words):
    with pytest.raises(ValueError, match=next(iter(words))):
        benchmark_step.rows(**words)
