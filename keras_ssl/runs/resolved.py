"""What a recipe's rates, rules and batches come to, as numbers."""

from typing import Any

import keras

from keras_ssl.core import console, distribute
from keras_ssl.methods.base import Method
from keras_ssl.runs import optimizing
from keras_ssl.schedules import Clock, Value

# What optimizers call the shares that they keep of their running means.
_SHARES = ("momentum", "beta_1", "beta_2")


def resolve(
    method: Method,
    clock: Clock,
    value: Value,
    scale: str,
    batch_size: int,
    accumulate: int,
) -> dict[str, Any]:
    """Says what a run's settings come to.

    Args:
        method: Set up, its optimizer built.
        clock: Length of the run.
        value: Learning rate as a function of the step, before it is scaled.
        scale: Name of the rule by which it is.
        batch_size: Images in a global batch.
        accumulate: Chunks of a local batch.

    Returns:
        `optimizer`, its shares (`momentum` or betas), `base_rate` and `rate` (where
        the warm-up ends, before and after scaling), `rate_scale`, `weight_decay` (at
        the first step and the last), `decayed`, `not_decayed`, `adapted` and
        `not_adapted` (variables; of LARS and LAMB), `warmup_steps`, `total_steps`,
        `steps_per_epoch`, `batch_size`, `local_batch`, `accumulate`, `chunk`.
    """
    optimizer = getattr(method.optimizer, "inner_optimizer", method.optimizer)
    warmup = int(getattr(value, "warmup_steps", 0))
    base = float(value(warmup))
    # Not refused here: a plan says more than that a batch cannot be shared out.
    local = max(1, batch_size // distribute.replicas())
    return {
        "optimizer": type(optimizer).__name__,
        **{k: getattr(optimizer, k) for k in _SHARES if hasattr(optimizer, k)},
        "base_rate": base,
        "rate": base * optimizing.SCALES[scale](batch_size),
        "rate_scale": scale,
        **_decay(optimizer, clock),
        "warmup_steps": warmup,
        "total_steps": clock.total_steps,
        "steps_per_epoch": clock.steps_per_epoch,
        "batch_size": batch_size,
        "local_batch": local,
        "accumulate": accumulate,
        "chunk": local // accumulate,
    }


def _decay(optimizer: keras.optimizers.Optimizer, clock: Clock) -> dict[str, Any]:
    """Weight decay, and how many variables the rules for large batches are for."""
    decay = getattr(optimizer, "weight_decay", None)
    ends = (0, max(0, clock.total_steps - 1))
    found: dict[str, Any] = {
        "weight_decay": [float(decay(step)) for step in ends]
        if callable(decay)
        else [float(decay or 0.0)] * 2
    }
    for name in ("decay", "adapt"):
        flags = getattr(optimizer, f"{name}s", None)
        if flags is not None:
            done = f"{name}ed"
            found |= {done: sum(flags), f"not_{done}": len(flags) - sum(flags)}
    return found


def show(*settings: Any) -> dict[str, Any]:
    """Resolves, and says it on the console once; for arguments see `resolve`."""
    found = resolve(*settings)
    if distribute.is_chief():
        rows = text(found)
        width = max(map(len, rows)) + 2
        console.say("\n".join(f"{k.ljust(width)}{v}" for k, v in rows.items()))
    return found


def text(found: dict[str, Any]) -> dict[str, str]:
    """Lines for people by their names, of what `resolve` returned."""
    shares = "".join(f", {k} {found[k]:g}" for k in _SHARES if k in found)
    rate = f"{found['rate']:.4g}"
    if found["rate_scale"] != "none":
        rate += (
            f": {found['base_rate']:.4g} scaled by the {found['rate_scale']} rule to "
            f"a batch of {found['batch_size']:,}"
        )
    first, last = found["weight_decay"]
    decay = f"{first:.4g}" if first == last else f"{first:.4g} to {last:.4g}"
    if "decayed" in found:
        decay += f" of {found['decayed']} variables, not of {found['not_decayed']}"
    rows = {
        "optimizer": found["optimizer"] + shares,
        "rate": rate,
        "weight decay": decay,
    }
    if "adapted" in found:
        rows["adapted"] = (
            f"{found['adapted']} variables by their norms, {found['not_adapted']} not"
        )
    rows["warm-up"] = f"{found['warmup_steps']:,} of {found['total_steps']:,} steps" + (
        f" ({found['warmup_steps'] / found['steps_per_epoch']:.3g} epochs)"
    )
    rows["batch"] = batch(found)
    return rows


def batch(found: dict[str, Any]) -> str:
    """`4,096 images, 2,048 on each of 2 replicas, in 8 chunks of 256`."""
    replicas = distribute.replicas()
    said = f"{found['batch_size']:,} images"
    if replicas > 1:
        said += f", {found['local_batch']:,} on each of {replicas} replicas"
    if found["accumulate"] > 1:
        said += f", in {found['accumulate']} chunks of {found['chunk']:,}"
    return said
