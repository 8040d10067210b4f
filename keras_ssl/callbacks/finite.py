"""Ends a run whose weights hold what is no number, even where the loss hides it."""

from typing import Any

import keras
import tensorflow as tf

from keras_ssl.core.bad_number import BadNumberError


class Finite(keras.callbacks.Callback):
    """Asks every so many steps, and before each save, whether weights are numbers.

    A ReLU makes 0 of NaN, on CPUs at least: a network of which a layer was lost then
    gives the same for all images, and its loss stays at chance.

    Args:
        every_steps: Steps between checks.

    Raises:
        FloatingPointError: In training, where a weight is NaN or infinite.
    """

    def __init__(self, every_steps: int = 10) -> None:
        super().__init__()
        self.every_steps = every_steps
        self.loss = float("nan")
        self._checked = -1
        self._sound: Any = None

    def on_train_begin(self, logs: dict | None = None) -> None:
        self._checked = self.step()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.loss = float((logs or {}).get("loss", self.loss))
        if self.step() - self._checked >= self.every_steps:
            self.check()

    def step(self) -> int:
        """Updates made so far."""
        return int(self.model.optimizer.iterations.numpy())

    def check(self) -> bool:
        """True, or an error."""
        step = self.step()
        if self._sound is None:
            # Large tables of memories hold what networks made: it shows there first.
            every = self.model.non_trainable_variables
            few = [v for v in every if len(v.shape) < 2 and "float" in v.dtype]
            asked = [*self.model.trainable_variables, *few]
            self._sound = tf.function(lambda: _sound(asked), autograph=False)
        if not bool(self._sound()):
            scalars = {"loss": self.loss}
            count = max(1, step - self._checked)
            raise BadNumberError(step, scalars, count, "A weight is no number")
        self._checked = step
        return True


def _sound(variables: list[keras.Variable]) -> tf.Tensor:
    sums = [tf.reduce_sum(tf.convert_to_tensor(v.value)) for v in variables]
    return tf.reduce_all(tf.math.is_finite(tf.stack(sums)))
