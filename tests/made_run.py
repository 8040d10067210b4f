"""A run directory without a training, for tests of what follows one."""

import keras
import tensorflow as tf

from keras_ssl.core import registry, run_dir, weights_file
from keras_ssl.core.tracing import named_variables
from keras_ssl.encoders.base import example_shape
from keras_ssl.encoders.resnet import SmallResNet

DATA = {"source": "embedded:32", "split": "train[:64]"}


def made_run(folder, encoder=None, size=32, data=DATA, seed=0):
    """Leaves what a run would, with an encoder as it is drawn."""
    keras.config.set_dtype_policy("float32")
    keras.utils.set_random_seed(seed)
    encoder = encoder or SmallResNet(widths=(4, 8), blocks=(1, 1))
    encoder(tf.zeros([1, *example_shape(encoder, size)]))
    run_dir.write_json(
        folder / run_dir.RUN,
        {
            "data": data,
            "method": "SimCLR",
            "precision": "float32",
            "encoder": {
                "name": registry.name_of(encoder),
                "config": encoder.get_config(),
                "prefix": "encoder/",
                "image_size": size,
                "feature_dim": encoder.feature_dim,
            },
            "projector": None,
        },
    )
    arrays = {f"encoder/{k}": v.numpy() for k, v in named_variables(encoder).items()}
    path = folder / run_dir.CHECKPOINTS / "step_00000008.npz"
    weights_file.save(path, arrays, {"step": 8})
    return folder
