"""Other files than a SavedModel, by Keras's own exporters: ONNX and LiteRT."""

import importlib
import os
import pathlib
from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_ssl.core import durable
from keras_ssl.encoders.base import example_shape

Run = Callable[[np.ndarray], np.ndarray]


class Format(NamedTuple):
    """One kind of file.

    Attributes:
        ending: Of the file's name.
        modules: What must be installed to write and to try it.
        load: Makes a function of a batch from a file.
    """

    ending: str
    modules: tuple[str, ...]
    load: Callable[[str], Run]


def _onnx(path: str) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda batch: session.run(None, {name: batch})[0]


def _litert(path: str) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path, num_threads=os.cpu_count())
    place = interpreter.get_input_details()[0]["index"]

    def run(batch: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(place, batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, batch)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run


FORMATS = {
    "onnx": Format(".onnx", ("tf2onnx", "onnxruntime"), _onnx),
    "litert": Format(".tflite", ("ai_edge_litert",), _litert),
}


def check_installed(kind: str) -> None:
    """Refuses a format that is unknown or cannot be written here.

    Args:
        kind: Of `FORMATS`.

    Raises:
        ValueError: If it is none of them, or a module it needs is not installed.
    """
    if kind not in FORMATS:
        raise ValueError(
            f"format must be saved_model or one of {', '.join(FORMATS)}, got {kind!r}."
        )
    for module in FORMATS[kind].modules:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise ValueError(
                f"{kind} needs {module}, which is not installed: pip install "
                f"'keras_ssl[{kind}]'."
            ) from error


def write(
    encoder: keras.Model, path: str | os.PathLike[str], kind: str, size: int
) -> None:
    """Writes an encoder as one file; it takes floats of one size, any number of them.

    Args:
        encoder: A built encoder that computes in float32.
        path: A file that does not exist, with the format's ending.
        kind: Of `FORMATS`.
        size: Side of its images in pixels, or length of its recordings in samples.

    Raises:
        ValueError: If the file exists.
        durable.WriteError: If the disk is full, or another limit is met.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise ValueError(f"{path} exists; remove it, or give another --out.")
    # Keras knows formats by their endings.
    aside = durable.aside(path)
    beside = aside.with_name(f"{aside.name}{path.suffix}")
    spec = tf.TensorSpec([None, *example_shape(encoder, size)], tf.float32, "images")
    with durable.explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            encoder.export(
                os.fspath(beside), format=kind, input_signature=[spec], verbose=False
            )
            durable.sync(beside)
            beside.replace(path)
            durable.sync(path.parent)
        finally:
            beside.unlink(missing_ok=True)


def load(path: str | os.PathLike[str], kind: str) -> Run:
    """A function `(n, ...)` float32 to `(n, d)` float32 from a file.

    Args:
        path: The file.
        kind: Of `FORMATS`.
    """
    return FORMATS[kind].load(os.fspath(path))
