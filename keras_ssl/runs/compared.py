"""By which settings and scores runs are compared, as their records know them."""

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from keras_ssl.callbacks.hyperparameters import Setting
from keras_ssl.core import config, registry

# Settings that are shown from the start.
FIRST = ("batch_size", "data", "encoder", "epochs", "method")
_SCALARS = ("objective/loss", "features/rank", "health/state")


def settings(content: Mapping[str, Any]) -> dict[str, Setting]:
    """What differs between runs and is worth a column.

    Args:
        content: Of run.json, with what it resolved.

    Returns:
        Settings by name: of method, encoder, data, optimizer and run, and the numbers
        that the recipe gives to the method itself, such as `SimCLR.temperature`.
    """
    resolved, data = content["resolved"], content["data"]
    steps = content["steps_per_epoch"]
    return {
        "method": content["method"],
        "encoder": content["encoder"]["name"],
        "encoder_parameters": content["parameters"]["encoder"],
        "feature_dim": content["encoder"]["feature_dim"],
        "image_size": content["encoder"]["image_size"],
        "data": data["source"],
        "images": data["images"],
        "epochs": content["total_steps"] // steps,
        "batch_size": content["batch_size"],
        "optimizer": resolved["optimizer"],
        "base_rate": resolved["base_rate"],
        "rate": resolved["rate"],
        "weight_decay": resolved["weight_decay"][0],
        "warmup_epochs": resolved["warmup_steps"] / steps,
        "precision": content["precision"],
        "devices": content["devices"],
        "started_from_weights": content["init_from"] is not None,
        "seed": content["seed"],
        **_own(content["method"]),
    }


def scores(evaluations: Sequence[Any]) -> list[str]:
    """Tags of scalars that runs are compared by.

    Args:
        evaluations: Of this run, whose scores come first; other runs have others.
    """
    mine = [registry.name_of(evaluation) for evaluation in evaluations]
    rest = [name for name in registry.names("evaluation") if name not in mine]
    tags = [f"{name}/encoder" for name in mine]
    return [*tags, *_SCALARS, *(f"{name}/encoder" for name in rest)]


def _own(method: str) -> dict[str, Setting]:
    """Numbers among the method's own arguments, whatever the scope."""
    found: dict[str, Setting] = {}
    for key, text in config.table(config.resolved()).items():
        part, _, name = key.rpartition("/")[2].rpartition(".")
        if part != method:
            continue
        try:
            value = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            # Made of parts, such as an encoder.
            continue
        if isinstance(value, bool | int | float):
            found[f"{part}.{name}"] = value
    return found
