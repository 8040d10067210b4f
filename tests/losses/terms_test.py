import numpy as np
import pytest
import tensorflow as tf

from keras_ssl import losses
from keras_ssl.core import registry
from keras_ssl.losses.terms import Term
from keras_ssl.methods.simclr import SimCLR
from keras_ssl.schedules import Clock
from tests import harness

A = tf.random.stateless_normal([6, 2, 4], [1, 2])
B = tf.random.stateless_normal([6, 2, 4], [3, 4])


def test_every_public_loss_can_be_named_in_a_recipe():
    assert set(registry.names("loss")) == set(losses.__all__)


def test_term_is_the_weighted_loss_of_the_outputs_it_names():
    term = Term(losses.byol_regression, ("a", "b"), weight=0.5, name="pull")
    found = term({"b": B[:, 0], "a": A[:, 0], "c": A})
    want = losses.byol_regression(A[:, 0], B[:, 0])
    assert sorted(found) == ["loss", "pull"]
    np.testing.assert_allclose(found["pull"], want)
    np.testing.assert_allclose(found["loss"], 0.5 * want)


def test_views_are_summed():
    term = Term(losses.byol_regression, ("a", "b"), by_view=True)
    want = sum(losses.byol_regression(A[:, i], B[:, i]) for i in range(2))
    np.testing.assert_allclose(
        term({"a": A, "b": B})["byol_regression"], want, rtol=1e-6
    )


def test_first_of_several_counts():
    term = Term(lambda a: (tf.reduce_sum(a), tf.zeros([])), ("a",), name="several")
    np.testing.assert_allclose(term({"a": A})["loss"], tf.reduce_sum(A))


def test_names_are_checked():
    with pytest.raises(KeyError, match="no output 'zz'"):
        Term(losses.byol_regression, ("zz", "b"))({"z1": A, "b": B})
    with pytest.raises(ValueError, match=r"as \('features',\); got 'a'"):
        Term(losses.byol_regression, "a")


def test_a_method_trains_on_the_sum_of_its_loss_and_the_terms():
    entry = next(e for e in harness.methods() if e.target is SimCLR)
    bench = harness.Bench(entry)
    batch = bench.batch(0)
    plain = bench.method._loss(batch)
    spec = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), batch)
    term = Term(losses.byol_regression, ("z1", "z2"), weight=3.0)
    bench.method.setup(spec, Clock(20, 4), (term,))
    both = bench.method.train_step(batch)
    np.testing.assert_allclose(
        both["loss"], plain["loss"] + 3.0 * both["byol_regression"], rtol=1e-5
    )
    assert both["accuracy"] == plain["accuracy"]
