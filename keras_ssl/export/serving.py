"""What TensorFlow Serving needs beside a SavedModel: versions, a config, a warm-up."""

import os
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ssl.core import durable
from keras_ssl.encoders.known_output import examples

CONFIG = "model.config"
GUIDE = "SERVING.md"
_WARM_UP = "assets.extra/tf_serving_warmup_requests"
# Numbers of examples in a request that the server has seen before it answers.
_BATCHES = (1, 8)


def next_version(folder: str | os.PathLike[str], name: str) -> pathlib.Path:
    """Where the next version of a served model goes: `folder/name/1`, `2` and so on.

    Args:
        folder: What is given to the server as `/models`.
        name: What requests call the model: letters, digits, `-`, `_` and `.`.

    Raises:
        ValueError: If it cannot be called so.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise ValueError(
            "A served model's name has letters, digits, '-', '_' and '.' only, since "
            f"it stands in addresses; got {name!r}."
        )
    return (
        pathlib.Path(folder) / name / str(max(_versions(folder, name), default=0) + 1)
    )


def check_installed() -> None:
    """Refuses to go on where the server's messages are not known.

    Raises:
        ValueError: If tensorflow-serving-api is not installed.
    """
    try:
        import tensorflow_serving.apis.prediction_log_pb2  # noqa: F401
    except ModuleNotFoundError as error:
        raise ValueError(
            "The warm-up file for TensorFlow Serving is written with its own messages, "
            "which are not installed: pip install 'keras_ssl[serving]'."
        ) from error


def add_warm_up(model: pathlib.Path, name: str, size: int) -> None:
    """Writes a request for each signature, which the server plays before it answers.

    Args:
        model: A SavedModel.
        name: What requests call it.
        size: Side of images in pixels, or length of recordings in samples.

    Raises:
        durable.WriteError: If the disk is full, or another limit is met.
    """
    from tensorflow_serving.apis import prediction_log_pb2 as messages

    signatures = tf.saved_model.load(str(model)).signatures
    path = model / _WARM_UP
    beside = durable.aside(path)
    with durable.explained(path):
        path.parent.mkdir(exist_ok=True)
        with tf.io.TFRecordWriter(os.fspath(beside)) as writer:
            for signature, function in signatures.items():
                for count in _BATCHES:
                    log = messages.PredictionLog()
                    request = log.predict_log.request
                    request.model_spec.name = name
                    request.model_spec.signature_name = signature
                    for key, value in _inputs(function, size, count).items():
                        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
                    writer.write(log.SerializeToString())
        durable.sync(beside)
        beside.replace(path)


def warm_up_requests(
    model: str | os.PathLike[str],
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The requests of a warm-up file: signature and inputs, as the server reads them.

    Args:
        model: A SavedModel with such a file.
    """
    from tensorflow_serving.apis import prediction_log_pb2 as messages

    path = pathlib.Path(model) / _WARM_UP
    for record in tf.data.TFRecordDataset(os.fspath(path)):
        log = messages.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        yield request.model_spec.signature_name, inputs


def write_config(folder: str | os.PathLike[str]) -> None:
    """Writes `model.config` with all models of a folder, and how to serve them.

    Args:
        folder: What is given to the server as `/models`.

    Raises:
        durable.WriteError: If the disk is full, or another limit is met.
    """
    folder = pathlib.Path(folder)
    names = [path.name for path in sorted(folder.iterdir()) if path.is_dir()]
    names = [name for name in names if any(_versions(folder, name))]
    entries = "".join(
        f"  config {{\n    name: '{name}'\n    base_path: '/models/{name}'\n"
        "    model_platform: 'tensorflow'\n  }\n"
        for name in names
    )
    text = f"model_config_list {{\n{entries}}}\n"
    for name, content in ((CONFIG, text), (GUIDE, _guide(folder, names))):
        with durable.replacing(folder / name, "w") as file:
            file.write(content)


def _versions(folder: str | os.PathLike[str], name: str) -> list[int]:
    paths = (pathlib.Path(folder) / name).glob("*")
    return [int(path.name) for path in paths if path.name.isdecimal()]


def _inputs(function: Any, size: int, count: int) -> Mapping[str, Any]:
    """Examples for a signature, by the names of its inputs."""
    (name, spec), *_ = function.structured_input_signature[1].items()
    takes = "audio" if name == "waveforms" else "image"
    found = np.resize(examples(takes, size), (count, *examples(takes, size).shape[1:]))
    if spec.dtype == tf.uint8:
        return {name: np.round(found * 255).astype(np.uint8)}
    if spec.dtype == tf.int16:
        return {name: np.round(found * 32767).astype(np.int16)}
    if spec.dtype == tf.string:
        pixels = np.round(found * 255).astype(np.uint8)
        return {name: np.array([tf.io.encode_jpeg(x).numpy() for x in pixels], object)}
    return {name: found.astype(np.float32)}


def _guide(folder: pathlib.Path, names: list[str]) -> str:
    name = names[0] if names else "encoder"
    return f"""# Serving {", ".join(names)} by TensorFlow Serving

```bash
docker run --rm -p 8500:8500 -p 8501:8501 \\
    --mount type=bind,source={folder.absolute()},target=/models \\
    tensorflow/serving --model_config_file=/models/{CONFIG}
```

A higher version in a model's folder is taken up while the server runs; requests for
the one before are answered until the new one is warm.

REST, port 8501; encoded images go as base64:

```bash
curl -s localhost:8501/v1/models/{name}:predict -d @- <<JSON
{{"signature_name": "serve_image_bytes",
  "instances": [{{"b64": "$(base64 -w0 cat.jpg)"}}]}}
JSON
```

gRPC, port 8500 (`pip install tensorflow-serving-api`):

```python
import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

channel = grpc.insecure_channel("localhost:8500")
stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
request = predict_pb2.PredictRequest()
request.model_spec.name = "{name}"
request.model_spec.signature_name = "serving_default"
# (n, h, w, 3) uint8
request.inputs["images"].CopyFrom(tf.make_tensor_proto(images))
answer = stub.Predict(request, timeout=10)
features = tf.make_ndarray(answer.outputs["features"])
```

The server was not run where these files were made: the warm-up file in each version's
`assets.extra` was played through the loaded signatures instead.
"""
