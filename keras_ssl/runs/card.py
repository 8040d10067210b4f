"""A model card: what an exported encoder is, made of what its run recorded.

After Mitchell et al. 2019, https://arxiv.org/abs/1810.03993, as far as records tell.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from keras_ssl.core import registry, run_dir
from keras_ssl.encoders.base import kind
from keras_ssl.export.endpoints import Probe
from keras_ssl.runs import evaluation_table


def card(
    path: pathlib.Path,
    meta: Mapping[str, Any],
    served: Sequence[str],
    probe: Probe | None = None,
    compared: Sequence[str] = (),
) -> str:
    """Markdown on an encoder.

    Args:
        path: The run that it comes from, or another export.
        meta: See `encoders.read`.
        served: Names of the signatures; none of a file that has no names.
        probe: The classifier that is exported with it, if there is one.
        compared: Sentences on what was exported beside the encoder.
    """
    record = run_dir.read_json(path / run_dir.RUN)
    # Of a run's way only its end, and the baselines.
    rows = evaluation_table.at_the_end(run_dir.read_lines(path / run_dir.EVALUATIONS))
    parts = [
        f"# {meta.get('method', 'Encoder')}: {meta['name']}",
        "",
        *_what(meta, record),
        "",
        *_signatures(served, probe),
        *(
            ["## Checked", "", *(f"- {text}" for text in compared), ""]
            if compared
            else []
        ),
        "## Scores",
        "",
        *_scores(rows),
        "",
        "## Limits",
        "",
        "Trained without labels on the data above and on nothing else: features tell "
        "apart what differs there, and carry over whatever is one-sided in it. Scores "
        "hold for the data and protocols of the table; whether they hold for yours is "
        "for you to measure, with `tools/evaluate.py`.",
    ]
    return "\n".join(parts) + "\n"


def _what(meta: Mapping[str, Any], record: Mapping[str, Any]) -> list[str]:
    """Lines on the model, its data and its training."""
    facts = {
        "Output": f"{meta.get('feature_dim', '?')} features, float32",
        "Precision": f"{meta['precision']} inside",
        "Input": _input(meta),
        "Weights": meta.get("checkpoint"),
    }
    if record:
        data = record["data"]
        resolved = record.get("resolved", {})
        unreadable = data.get("unreadable")
        facts |= {
            "Parameters": _count(record.get("parameters", {}).get("encoder")),
            "Pretrained on": f"`{data['source']}`, split `{data.get('split')}`"
            f", {_count(data.get('images'))} examples without their labels"
            + (f", {unreadable} of them unreadable" if unreadable else ""),
            "Data fingerprint": data.get("fingerprint"),
            "Training": f"{_count(meta.get('step'))} steps of "
            f"{record.get('batch_size')}, {resolved.get('optimizer', 'optimizer ?')}, "
            f"seed {record.get('seed')}",
            "Started from": record.get("init_from"),
            "Status": record.get("status"),
            "Health": record.get("health", {}).get("state"),
            "Weights digest": record.get("weights_digest"),
            "Code": f"commit {record['commit']}" if record.get("commit") else None,
            "Versions": ", ".join(
                f"{name} {version}"
                for name, version in sorted(record.get("versions", {}).items())
            ),
        }
    facts = {name: text for name, text in facts.items() if text}
    return [f"- {name}: {text}" for name, text in facts.items()]


def _input(meta: Mapping[str, Any]) -> str:
    if kind(registry.get("encoder", meta["name"])) == "audio":
        return "recordings of any length; amplitudes are scaled inside"
    size = meta["image_size"]
    return (
        f"RGB images of any size; their middle squares are resized to {size} x {size} "
        "pixels and normalised inside"
    )


_IMAGES = "`images` uint8 `(n, h, w, 3)` to "
_ABOUT = {
    "serving_default": f"{_IMAGES}`features`",
    "serve_float": "`images` float32 in [0, 1] to `features`",
    "serve_image_bytes": "`image_bytes`, `(n,)` whole JPEG, PNG, GIF or BMP files, to "
    "`features`",
    "features_by_layer": f"{_IMAGES}each layer's mean over places",
    "projection": f"{_IMAGES}`projection`, which the loss compared",
    "logits": f"{_IMAGES}`logits`",
}


def _signatures(served: Sequence[str], probe: Probe | None) -> list[str]:
    if not served:
        return []
    lines = [f"- `{name}`: {_ABOUT[name]}" for name in served]
    if "serve_image_bytes" not in served:
        changes = (
            (_IMAGES, "`waveforms` int16 `(n, samples)` to "),
            ("images", "waveforms"),
        )
        for old, new in changes:
            lines = [line.replace(old, new) for line in lines]
    if probe is not None:
        lines += ["", f"Classes of the logits: {', '.join(probe.classes)}.", ""]
        lines += [f"- {name}: {value}" for name, value in probe.about.items()]
    return ["## Signatures", "", *lines, ""]


def _scores(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    if not rows:
        return ["None was recorded; `tools/evaluate.py` makes them."]
    return evaluation_table.lines(rows)


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
