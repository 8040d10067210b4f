"""What of a step is computed in 16 bits, and what must not be."""

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.encoders.base import Encoder
from tests import harness


def check_step(entry, gin_file, policy, monkeypatch):
    """Holds a step as traced under a mixed policy against its rules; runs it once."""
    bench = harness.Bench(entry, gin_file, policy)
    short = tf.as_dtype(keras.config.dtype_policy().compute_dtype)
    objective, images, seen = bench.method.objective, [], []
    # Also that of an encoder within an encoder.
    normalize = Encoder.normalize

    def watched(outputs):
        seen.extend(x.dtype for x in outputs.values())
        return objective(outputs)

    def normalized(self, x):
        images.append(x.dtype)
        return normalize(self, x)

    monkeypatch.setattr(bench.method, "objective", watched)
    monkeypatch.setattr(Encoder, "normalize", normalized)
    step = tf.function(bench.method.train_step, autograph=False)
    batch = bench.batch(0)
    check_types(operations(step.get_concrete_function(batch).graph), short)
    assert set(images) == {tf.float32}
    assert {d for d in seen if d.is_floating} == {tf.float32}
    for name, variable in bench.state.items():
        floating = tf.as_dtype(variable.dtype).is_floating
        assert not floating or variable.dtype == "float32", name
    scalars = step(batch)
    assert scalars["loss"].dtype == tf.float32
    assert np.isfinite([float(x) for x in scalars.values()]).all()


def operations(graph):
    """Every operation of a graph and of the functions that it calls."""
    found = list(graph.get_operations())
    seen = set()
    stack = list(found)
    while stack:
        for value in stack.pop().node_def.attr.values():
            for name in {value.func.name, *(f.name for f in value.list.func)} - {""}:
                if name not in seen:
                    seen.add(name)
                    inner = graph._get_function(name).graph.get_operations()
                    found += inner
                    stack += inner
    return found


def check_types(found, short):
    """Products are computed in 16 bits, and what must not be is not."""
    products = [op for op in found if op.type in ("Conv2D", "MatMul", "BatchMatMulV2")]
    assert any(op.outputs[0].dtype == short for op in products)
    for op in found:
        # Roots are those of norms and optimizers; logarithms those of losses.
        if op.type in ("Rsqrt", "Sqrt", "Log", "SparseSoftmaxCrossEntropyWithLogits"):
            assert op.outputs[0].dtype != short, (
                f"{op.name} is computed in 16 bits; do it in objective(), whose "
                "outputs are float32, or cast to float32 first."
            )
        if op.type.startswith("FusedBatchNorm"):
            assert op.get_attr("U") == tf.float32, op.name
