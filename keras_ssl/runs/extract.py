"""Features of a whole source as a file; stopped at any time, it goes on."""

import dataclasses
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.core import console, lock, run_dir, weights_file
from keras_ssl.core.background import Background
from keras_ssl.core.progress import Progress
from keras_ssl.core.tracing import named_variables
from keras_ssl.data import pipeline, sources
from keras_ssl.data.unreadable import reason
from keras_ssl.encoders.base import example_shape
from keras_ssl.export import feature_files
from keras_ssl.export.feature_parts import FeatureParts
from keras_ssl.runs import encoders, fits

RECORD = "extract.json"
SKIPPED = "skipped.csv"
_PARTS = "parts"
# Examples in a part, about: what a kill loses is at most the work for that.
_ROWS = 4096


@dataclasses.dataclass(frozen=True)
class Extract:
    """What to take from a source, and how.

    Args:
        data: A source, see `sources.open_source`; what the run trained on if None.
        split: Its split.
        data_dir: Where TFDS keeps data; the run's own if None.
        format: `npz`, `parquet` or `tfrecord`.
        layer: A layer of the encoder whose maps are averaged over places; None for
            the features themselves.
        projector_layers: Layers of the run's projector that follow the encoder.
        image_size: Side of the images that are encoded; the run's own if None.
        precision: Dtype policy to compute in; the run's if None.
        batch_size: Images encoded at a time, at least 1.
    """

    data: str | None = None
    split: str = "train"
    data_dir: str | None = None
    format: str = "npz"
    layer: str | None = None
    projector_layers: int = 0
    image_size: int | None = None
    precision: str | None = None
    batch_size: int = 256


def extract(path: str, out: str, request: Extract | None = None) -> dict[str, Any]:
    """Writes `features.<format>`, `skipped.csv` and `extract.json` into a folder.

    The file has the columns `index` (number in the source), `id` (the image's file or
    record, else its number), `label` where the source has labels, and `features`
    `(m, d)` float32. What cannot be read is no row of it but one of `skipped.csv`.

    Args:
        path: A run directory with a checkpoint, or an exported SavedModel.
        out: Folder to make, or one where the same command was stopped.
        request: What to take; the features of the run's own data if None.

    Returns:
        What `extract.json` records.

    Raises:
        ValueError: If there is no checkpoint or source, the encoder was never trained,
            does not take the data or has no such layer, nothing can be read, or `out`
            holds something else.
        durable.WriteError: If the disk is full, or another limit is met.
    """
    request = Extract() if request is None else request
    folder = pathlib.Path(out)
    target = folder / f"features.{request.format}"
    feature_files.check_kind(request.format)
    if request.batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {request.batch_size}.")
    _check_free(folder, target)
    encode, source, record = _opened(path, request)
    with lock.held(folder, "--out"):
        parts = _begun(folder, record)
        _fill(parts, encode, source, record)
        skipped = parts.write_skipped(folder / SKIPPED)
        if skipped == source.count:
            raise ValueError(
                f"None of the {skipped} examples of {source.name!r} can be read; "
                f"{folder / SKIPPED} says why."
            )
        # There already where the command was stopped between this line and the next.
        if not target.exists():
            feature_files.write(parts, target, request.format)
        record |= {"status": "finished", "skipped": skipped}
        record["written"] = source.count - skipped
        run_dir.write_json(folder / RECORD, record)
        shutil.rmtree(parts.folder)
    return record


def _check_free(folder: pathlib.Path, target: pathlib.Path) -> None:
    """Refuses a folder of something else, or of an extraction that is finished."""
    status = run_dir.read_json(folder / RECORD).get("status")
    if target.exists() and status != "running":
        raise ValueError(f"{target} exists; remove it, or give another --out.")
    if folder.exists() and status is None and any(folder.iterdir()):
        raise ValueError(
            f"{folder} holds something else; give another --out, such as a folder "
            "that does not exist yet."
        )


def _opened(path: str, request: Extract) -> tuple[Any, sources.Source, dict[str, Any]]:
    """The function that makes features, the source, and what the rows depend on."""
    encoder, meta = encoders.load(path, request.precision, request.projector_layers)
    encoders.check_trained(path, meta)
    name = request.data or meta.get("data", {}).get("source")
    if name is None:
        raise ValueError(
            f"{path} comes from a released checkpoint and not from a run, so it has no "
            "data of its own. Give --data=..., such as folder:DIR."
        )
    kept = run_dir.read_json(pathlib.Path(path) / run_dir.RUN).get("data_dir")
    source = sources.open_source(name, request.split, request.data_dir or kept)
    size = meta["image_size"] if request.image_size is None else request.image_size
    fits.check_fits(meta, source, size)
    asked = dataclasses.asdict(request)
    record = {
        **{k: v for k, v in asked.items() if k not in ("data", "data_dir", "format")},
        "file": f"features.{request.format}",
        "precision": meta["precision"],
        "image_size": size,
        "data": {
            "source": source.name,
            "count": source.count,
            "fingerprint": source.fingerprint(),
        },
        "encoder": {"name": meta["name"], "step": meta.get("step")},
        "status": "running",
    }
    # Tells two encoders apart.
    weights = weights_file.values(named_variables(encoder))
    record["encoder"]["weights_digest"] = weights_file.digest(weights)
    encode = _features(encoder, request.layer, example_shape(encoder, size))
    return encode, source, record


def _features(encoder: Any, layer: str | None, shape: Sequence[int]) -> Any:
    """A compiled function of batches of any number of examples."""
    if layer is not None and not hasattr(encoder, "maps"):
        raise ValueError(
            f"{encoder.name} has no layers with maps; leave --layer out for features."
        )

    def features(examples: tf.Tensor) -> tf.Tensor:
        if layer is None:
            return tf.cast(encoder(examples, training=False), tf.float32)
        maps = encoder.maps(examples, training=False)
        if layer not in maps:
            raise ValueError(f"layer must be one of {', '.join(maps)}, got {layer!r}.")
        return tf.reduce_mean(tf.cast(maps[layer], tf.float32), axis=[1, 2])

    spec = tf.TensorSpec([None, *shape], tf.float32)
    compiled = tf.function(features, input_signature=[spec], autograph=False)
    return compiled.get_concrete_function()


def _begun(folder: pathlib.Path, record: dict[str, Any]) -> FeatureParts:
    """The parts so far, which the same command must have made."""
    there = run_dir.read_json(folder / RECORD)
    if there:
        rows = there.pop("part_rows")
        differ = [
            f"{name} is {record.get(name)!r} and was {there.get(name)!r}"
            for name in sorted({*record, *there})
            if record.get(name) != there.get(name)
        ]
        if differ:
            raise ValueError(
                f"{folder} holds another extraction: {'; '.join(differ)}. Give another "
                "--out, or remove it."
            )
        record["part_rows"] = rows
    else:
        # Whole batches, so that a batch holds the same examples wherever it starts.
        batch = record["batch_size"]
        record["part_rows"] = batch * max(1, _ROWS // batch)
        run_dir.write_json(folder / RECORD, record)
    return FeatureParts(folder / _PARTS, record["part_rows"], record["data"]["count"])


def _fill(
    parts: FeatureParts,
    encode: Any,
    source: sources.Source,
    record: dict[str, Any],
) -> None:
    """Makes what is missing."""
    first = parts.done()
    if first == len(parts):
        return
    if first:
        console.say(f"Goes on at example {parts.span(first)[0]}.")
    left = parts.count - parts.span(first)[0]
    progress = Progress("Extracting", left, "examples")
    writer = Background()
    rows: list[tuple[np.ndarray, np.ndarray]] = []
    part = first

    width = int(encode.output_shapes[-1])

    def close() -> None:
        columns, missing = _columns(source, parts.span(part), rows, width)
        writer.start(parts.write, part, columns, missing)
        progress.add(len(parts.span(part)))

    for owner, index, images in _batches(source, parts, first, record):
        features = encode(images).numpy()
        while part < owner:
            close()
            part, rows = part + 1, []
        rows.append((index, features))
    while part < len(parts):
        close()
        part, rows = part + 1, []
    writer.wait()


def _batches(
    source: sources.Source, parts: FeatureParts, first: int, record: dict[str, Any]
) -> Iterator[tuple[int, np.ndarray, tf.Tensor]]:
    """Part, numbers and images of each batch; what cannot be read is left out."""
    size, batch = record["image_size"], record["batch_size"]
    shown = pipeline.SHOWN[source.kind]

    def together(part: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return part, index, shown(source.read(index), size)

    def alone(part: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return part, index, shown(source.read(index)[None], size)[0]

    def of_part(part: tf.Tensor) -> tf.data.Dataset:
        start = part * parts.rows
        stop = tf.minimum(start + parts.rows, parts.count)
        numbers = tf.data.Dataset.range(start, stop).map(lambda index: (part, index))
        if source.shape is not None:
            return numbers.batch(batch).map(
                lambda part, index: together(part[0], index), tf.data.AUTOTUNE
            )
        read = numbers.map(alone, tf.data.AUTOTUNE).ignore_errors().batch(batch)
        return read.map(lambda part, index, images: (part[0], index, images))

    dataset = tf.data.Dataset.range(first, len(parts)).flat_map(of_part)
    for part, index, images in dataset.prefetch(2):
        yield int(part), index.numpy(), images


def _columns(
    source: sources.Source,
    span: range,
    rows: list[tuple[np.ndarray, np.ndarray]],
    width: int,
) -> tuple[dict[str, np.ndarray], dict[int, tuple[str, str]]]:
    """What `FeatureParts.write` takes of a part."""
    nothing = np.empty(0, np.int64), np.empty((0, width), np.float32)
    index, features = map(np.concatenate, zip(nothing, *rows, strict=True))
    ids = np.array([_id(source, i) for i in index], str)
    columns = {"index": index, "id": ids, "features": features}
    if source.labels is not None:
        columns["label"] = np.asarray(source.labels[index], np.int64)
    missing = sorted({*span} - {*index.tolist()})
    return columns, {i: (_id(source, i), _why(source, i)) for i in missing}


def _id(source: sources.Source, index: int) -> str:
    return source.where(int(index)) if source.where else str(index)


def _why(source: sources.Source, index: int) -> str:
    """Why an example cannot be read."""
    try:
        source.read(tf.constant(index, tf.int64))
    except tf.errors.OpError as error:
        return reason(error)
    return "it could not be read at first"
