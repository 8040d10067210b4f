"""What a traced step must not hold to run on a TPU."""

import re

from tensorflow.python.util import pywrap_xla_ops

# Compiled, but drawn from a state of the device: other numbers on each replica and
# after a resume.
_STATEFUL_RANDOM = re.compile(
    r"(Random(?!GammaGrad)|Rng|Stateful(Standard|Truncated|Uniform)|TruncatedNormal"
    r"|Multinomial|ParameterizedTruncatedNormal)"
)
# Inputs of a function.
_INPUTS = {"Placeholder"}


def unfit(graph):
    """Ops of a graph, its functions included, that a step on a TPU can't have.

    Args:
        graph: A `tf.Graph`, such as that of a concrete function.

    Returns:
        A sentence for each: the op, its name, where it is and what is wrong with it.
    """
    whole = graph.as_graph_def()
    places = {"the step itself": whole.node}
    places |= {f.signature.name: f.node_def for f in whole.library.function}
    listed = {*pywrap_xla_ops.get_cpu_kernel_names(), *_INPUTS, *places}
    found = []
    for place, nodes in places.items():
        for node in nodes:
            where = f"{node.op} {node.name!r} in {place}"
            if node.op not in listed:
                found.append(f"{where}: XLA does not list it; does it run on the host?")
            elif _STATEFUL_RANDOM.match(node.op):
                found.append(f"{where}: take stateless randomness, by batch['seed'].")
    return found
