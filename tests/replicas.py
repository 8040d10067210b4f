"""Trains methods on N virtual replicas and writes what came out.

A process of its own for each N: two strategies in one process collide.
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from keras_ssl.core import distribute, registry, tracing, weights_file
from keras_ssl.heads.prototypes import Prototypes
from keras_ssl.memory import Bank, Center, Clusters, Ema, Queue
from keras_ssl.optimizers import SGD
from keras_ssl.schedules import Clock
from tests import harness, mutations

STEPS = 3
# An epoch ends within the steps: what is clustered anew then is compared too.
CLOCK = Clock(total_steps=21, steps_per_epoch=STEPS, examples=4 * harness.BATCH)
MEMORIES = {
    Bank: "bank",
    Center: "center",
    Clusters: "clusters",
    Ema: "target",
    Queue: "queue",
}
# Where the order of sums leaves more than 1e-5.
RELATIVE = {
    # Have come through all norms (seen 3.1e-5, in the first layers).
    "gradient": 5e-5,
    "optimizer": 5e-5,
    # Shifts of norms begin at 0, so that all of them are gradients (seen 1.2e-5).
    "weight": 2e-5,
    # See `spread`.
    "moving statistic": 2e-5,
}
# What must be among the things compared, over all methods.
KINDS = {
    "logged",
    "gradient",
    "weight",
    "optimizer",
    "moving statistic",
    "prototypes",
    *MEMORIES.values(),
}


def bound(kind, one):
    """By how much the entries of a tensor may differ.

    Relative to the tensor's largest entry: sums run in another order. A local negative
    or statistic differs by 1e-2 and more.
    """
    # What is logged may be a mean of numbers of order 1 that cancel.
    least = 0.1 if kind == "logged" else 1e-2
    return RELATIVE.get(kind, 1e-5) * max(least, float(np.abs(one).max(initial=0.0)))


def beyond(one, many):
    """What differs between two findings of `measure`: `{name: times the bound}`.

    A name that is only on one side, or another shape, or a number that is not finite,
    counts as infinitely far.
    """
    facts = json.loads(str(one["facts"]))
    names = {n for n in (*one, *many) if n != "facts"}
    found = {}
    for name in sorted(names):
        a, b = one.get(name), many.get(name)
        if a is None or b is None or a.shape != b.shape:
            found[name] = np.inf
            continue
        apart = float(np.abs(b - a).max(initial=0.0))
        apart /= bound(facts[name]["kind"], np.append(a, spread(one, name)))
        found[name] = apart if np.isfinite(apart) else np.inf
    return found


def spread(found, name):
    """How large the numbers are of which a tensor is the mean: of moving means only.

    They are sums of far larger numbers (seen 6e-2 from ones of 1.5, and 2.0e-5 of that
    apart), by whose size they are rounded.
    """
    variance = found.get(f"{name.removesuffix('moving_mean')}moving_variance")
    if not name.endswith("moving_mean") or variance is None:
        return 0.0
    return float(np.sqrt(variance.max(initial=0.0)))


def by_kind(one, many):
    """The most of `beyond` for each kind of tensor."""
    facts = json.loads(str(one["facts"]))
    found = {}
    for name, times in beyond(one, many).items():
        kind = facts[name]["kind"] if name in facts else "unknown"
        found[kind] = max(times, found.get(kind, 0.0))
    return found


def kinds(method):
    """What each variable of a method is, by the variable's `id`."""
    found = {id(v): "weight" for v in method.trainable_variables}
    for layer in method._flatten_layers():
        if isinstance(layer, Prototypes):
            found |= {id(v): "prototypes" for v in layer.variables}
    for memory in method.memories:
        found |= {id(v): MEMORIES[type(memory)] for v in memory.variables}
    return found


def copies(variable):
    """The replicas' own values of a variable."""
    value = getattr(variable, "value", variable)
    return [v.numpy() for v in getattr(value, "values", [value])]


def measure(entry, gin_file=None):
    """Trains a method for a few steps.

    Returns:
        Arrays by name: what was logged at each step, the gradients of the first step
        and all state after the last; and `facts`, a JSON of what each is and, of
        variables, whether it has changed, in how many entries the replicas' copies
        differ and what is declared of it.
    """
    # Not the recipe's optimizer: Adam divides by the size of a gradient, so that the
    # rounding of one that is nearly 0 would show as a whole step. SGD's buffers begin
    # at 0 and decay nothing: after one step they are the gradients, summed over
    # replicas, of the weights that all began with.
    bench = harness.Bench(entry, gin_file, optimizer=SGD, clock=CLOCK)
    method = bench.method
    names = tracing.named_variables(method)
    by_id = {id(v): name for name, v in names.items()}
    slots = tracing.named_optimizer_variables(method.optimizer, by_id)
    known = {id(v) for v in (*names.values(), *slots.values())}
    if missed := [
        v.path
        for v in (*method.variables, *method.optimizer.variables)
        if id(v) not in known
    ]:
        raise ValueError(f"{entry.name}: not compared: {missed}.")
    start = weights_file.values(names | slots)
    found = {}
    for i, scalars in enumerate(bench.steps(STEPS)):
        found |= {f"{name}@{i}": np.float64(x) for name, x in scalars.items()}
        if i == 0:
            found |= {
                name.replace("optimizer/momentums", "gradient"): value
                for name, value in weights_file.values(slots).items()
                if "/momentums/" in name
            }
    facts = {name: {"kind": "logged" if "@" in name else "gradient"} for name in found}
    what = kinds(method)
    for name, variable in (names | slots).items():
        every = copies(variable)
        found[name] = every[0]
        # Those of a target's copies too.
        statistic = is_statistic(name) and "moving statistic"
        mine = statistic or what.get(id(variable), "other")
        facts[name] = {
            "kind": mine if name in names else "optimizer",
            "moved": bool(np.any(every[0] != start[name])),
            "copies": len(every),
            "apart": int(sum(np.sum(x != every[0]) for x in every[1:])),
            "aggregation": variable.aggregation,
            "synchronization": variable.synchronization,
        }
    return found | {"facts": np.array(json.dumps(facts))}


def is_statistic(name):
    """Whether a variable is a moving mean or variance, by its path."""
    return name.rsplit("/", 1)[-1].startswith("moving_")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--replicas", type=int)
    parser.add_argument("--out")
    parser.add_argument("--gin_file")
    parser.add_argument("--methods", help="Only these, by name.")
    parser.add_argument("--mutations", action="store_true")
    parser.add_argument("--plugin", action="append", default=[])
    options = parser.parse_args()
    for package in ("keras_ssl", *options.plugin):
        registry.load(package)
    distribute.virtual_cpus(options.replicas)
    strategy = distribute.make_strategy("mirrored" if options.replicas > 1 else "one")
    if options.replicas > 2:
        # Spares a sixth of the time. What TensorFlow's optimizer of graphs does is in
        # what 1 and 2 replicas do, and here a graph that it left alone must agree.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    # At 0 ReLU's slope jumps: an activation of 1e-7 that rounds to the other side
    # changes gradients by 1e-3 of their size. What is compared here are sums over
    # replicas, which a smooth activation shows to the last digits.
    tf.nn.relu = tf.nn.silu
    entries = {entry.name: entry for entry in harness.methods(options.plugin)}
    if options.methods:
        entries = {name: entries[name] for name in options.methods.split(",")}
    runs = {name: (entry, None) for name, entry in entries.items()}
    if options.mutations:
        runs = {name: (entries[m.method], m) for name, m in mutations.ALL.items()}
    found = {}
    with strategy.scope():
        for name, (entry, mutation) in runs.items():
            with mutations.applied(mutation):
                measured = measure(entry, options.gin_file)
            found |= {f"{name}/{k}": v for k, v in measured.items()}
    with open(options.out, "wb") as file:
        np.savez(file, **found)


if __name__ == "__main__":
    main()
