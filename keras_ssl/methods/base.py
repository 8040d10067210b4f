"""What every self-supervised method is."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from keras_ssl.core import distribute, precision, registry, tracing
from keras_ssl.memory.base import Memory
from keras_ssl.methods import accumulation
from keras_ssl.metrics.signs import Sign
from keras_ssl.schedules import Clock, Schedule, Value

Batch = Mapping[str, Any]
Outputs = dict[str, tf.Tensor]
Scalars = dict[str, tf.Tensor]
# A further loss, made of `forward`'s outputs; see `methods/terms.py`.
Term = Callable[[Outputs], Scalars]
# Columns of a drawing, each `(n, h, w, 3)` in [0, 1].
Pictures = dict[str, tf.Tensor]

# How an objective spans replicas, as each method declares it.
SPANS = ("local", "gathers", "statistics")


class Method(distribute.Model):
    """Views in, one scalar loss out, around an encoder that is the product.

    An author keeps the given parts in `__init__` and writes `forward` and
    `objective`; `remember` too where there is a queue, bank or center. Calling a
    method on images returns the features of its product.

    Class attributes:
        num_views: Views of each image that `forward` needs.
        needs: What the encoder must have beside features, such as `maps`.
        shows: What `pictures` are called, such as `reconstructions`.
        pictured: Images that `pictures` gets; more than it draws, where it chooses.
        paper: Address of the paper.
        year: When it appeared.
        family: Such as `instance discrimination` or `masked modelling`.
        spans: How the objective couples examples, and so replicas; what memories take
            in, from all replicas always, aside. `local` (the loss of a batch is the
            mean of its parts' losses), `gathers` (examples of all replicas are
            compared) or `statistics` (only sums over examples are shared).
        compared: Outputs of `forward` whose rows the objective compares, `(n, d)` or
            `(n, views, d)`, the first view first: what must not collapse.
        signs: Further signs of health, this method's own; see `callbacks/health.py`.

    Args:
        encoder: Maps images to `(n, d)` features.
        name: Name of the model; the class's by default.

    Raises:
        TypeError: If `encoder` is not a Keras model or lacks what the method needs.
    """

    num_views: ClassVar[int] = 2
    needs: ClassVar[tuple[str, ...]] = ()
    shows: ClassVar[str] = "pictures"
    pictured: ClassVar[int] = 8
    paper: ClassVar[str] = ""
    year: ClassVar[int] = 0
    family: ClassVar[str] = ""
    spans: ClassVar[str] = "local"
    compared: ClassVar[tuple[str, ...]] = ()
    signs: ClassVar[tuple[Sign, ...]] = ()

    def __init__(self, encoder: keras.Model, name: str | None = None) -> None:
        super().__init__(name=name or type(self).__name__.lower())
        if not isinstance(encoder, keras.Model):
            raise TypeError(
                f"encoder must be a Keras model, got {encoder!r}. In gin, does its "
                "reference miss the '()' at its end?"
            )
        if missing := [name for name in self.needs if not hasattr(encoder, name)]:
            fit = [
                entry.name
                for entry in registry.entries("encoder")
                if all(hasattr(entry.target, name) for name in self.needs)
            ]
            raise TypeError(
                f"{type(self).__name__} needs an encoder with {' and '.join(missing)}"
                f"{', such as ' * bool(fit)}{' or '.join(fit)}; got "
                f"{type(encoder).__name__}."
            )
        self.encoder = encoder
        self.clock: Clock | None = None
        self.terms: tuple[Term, ...] = ()
        self._values: dict[int, Value] = {}
        self._derive: Callable[..., accumulation.Step] = functools.partial(
            accumulation.whole, self._outputs, self._scalars
        )

    def forward(self, batch: Batch) -> Outputs:
        """Returns per-example tensors `(n, ...)`: no example looks at another.

        Batch norm aside. May run more than once a step (large batches in chunks), so
        it changes no state of its own; randomness comes from `batch["seed"]`.

        Args:
            batch: `views`, a tuple of `(n, h, w, 3)` floats in [0, 1]; `seed`,
                `(n, 2)` int32, one for each example; `index`, `(n,)` int64,
                positions in the data set.
        """
        raise NotImplementedError(f"{type(self).__name__} must define forward().")

    def objective(self, outputs: Outputs) -> Scalars:
        """Returns `{"loss": scalar, ...}` from `forward`'s outputs, as float32.

        The only place where examples and replicas meet. The loss is the mean over
        local examples; what else is returned gets logged.
        """
        raise NotImplementedError(f"{type(self).__name__} must define objective().")

    def remember(self, outputs: Outputs) -> None:
        """Feeds memories once a step, after the update, without gradients."""

    def pictures(self, outputs: Outputs) -> Pictures:
        """Returns what to draw of `forward`'s outputs; nothing by default.

        Returns:
            Columns by name, each `(n, h, w, 3)` floats; out of [0, 1] they are clipped.
        """
        del outputs
        return {}

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        return self.product(images, training=training)

    @property
    def product(self) -> keras.Model:
        """The encoder that is scored and exported.

        That is the online one, unless the paper evaluates another: a target's copy.
        """
        return self.encoder

    def setup(
        self,
        batch_spec: Batch,
        clock: Clock,
        terms: Sequence[Term] = (),
        accumulate: int = 1,
    ) -> None:
        """Makes every variable, by tracing one step's loss without running it.

        Args:
            batch_spec: Shapes and dtypes of a local batch.
            clock: Length of the run.
            terms: Losses that are added to the objective's.
            accumulate: Chunks in which a local batch is differentiated, which takes
                the memory of one; see `accumulation.Chunks`.

        Raises:
            ValueError: If the views are too few, the objective has no loss, or the
                chunks would not be equal.
        """
        if len(batch_spec["views"]) < self.num_views:
            raise ValueError(
                f"{type(self).__name__} needs {self.num_views} views per image; the "
                f"views function makes {len(batch_spec['views'])}."
            )
        self.clock, self.terms = clock, tuple(terms)
        for memory in self.memories:
            memory.prepare(clock)
        scalars = tracing.make_variables(self._loss, batch_spec)
        if "loss" not in scalars:
            raise ValueError(
                f"{type(self).__name__}.objective must return a 'loss'; it returns "
                f"{sorted(scalars)}."
            )
        for memory in self.memories:
            memory.on_built()
        # Asks every schedule here, where errors and unused bindings are seen.
        tracing.make_variables(lambda _: self._tick(), {})
        if accumulate != 1:
            self._accumulate(accumulate, batch_spec)
        self.built = True

    def now(self, schedule: Schedule) -> tf.Tensor:
        """The value of a schedule at the current step of the run.

        Raises:
            ValueError: If `setup` has not yet said how long the run is.
        """
        if id(schedule) not in self._values:
            if self.clock is None:
                raise ValueError("Schedules have no value before setup().")
            # Once: recipes are not asked again inside a replica's step.
            self._values[id(schedule)] = schedule(self.clock)
        # While variables are made there is no optimizer yet.
        optimizer = getattr(self, "optimizer", None)
        step = 0 if optimizer is None else optimizer.iterations
        return self._values[id(schedule)](step)

    def train_step(self, batch: Batch) -> Scalars:
        """One update from this replica's share of a global batch."""
        variables = self.trainable_variables
        scalars, outputs, gradients = self._derive(batch, variables, self._share)
        precision.apply_gradients(self.optimizer, gradients, variables)
        self.remember({k: tf.stop_gradient(v) for k, v in outputs.items()})
        self._tick()
        return scalars

    def draw(self, batch: Batch) -> Pictures:
        """The method's pictures of a batch; what layers remember of it is put back."""
        state = [(v, v.numpy()) for v in self.non_trainable_variables]
        try:
            return self.pictures(self._outputs(batch))
        finally:
            for variable, value in state:
                variable.assign(value)

    @property
    def memories(self) -> list[Memory]:
        """The parts whose state changes without gradients."""
        return [layer for layer in self.layers if isinstance(layer, Memory)]

    def _accumulate(self, count: int, batch_spec: Batch) -> None:
        """From now on differentiates a local batch in `count` chunks."""
        asked = self.terms or type(self).remember is not Method.remember
        alone = self.spans == "local" and not asked
        chunks = accumulation.Chunks(count, self._outputs, self._scalars, alone)
        chunks.prepare(batch_spec, self.non_trainable_variables)
        self._derive = chunks

    def _share(self, loss: tf.Tensor) -> tf.Tensor:
        """This replica's share of the loss: the optimizer sums over replicas."""
        return self.optimizer.scale_loss(loss / distribute.replicas())

    def _tick(self) -> None:
        for memory in self.memories:
            memory.after_step(self.now)

    def _outputs(self, batch: Batch) -> Outputs:
        """`forward`, with float outputs in float32 whatever the compute dtype."""
        return {
            name: tf.cast(x, tf.float32) if x.dtype.is_floating else x
            for name, x in self.forward(batch).items()
        }

    def _loss(self, batch: Batch) -> Scalars:
        return self._scalars(self._outputs(batch))

    def _scalars(self, outputs: Outputs) -> Scalars:
        """The objective and the terms added to it."""
        scalars = self.objective(outputs)
        for term in self.terms:
            added = dict(term(outputs))
            loss = scalars["loss"] + added.pop("loss")
            scalars = {**scalars, **added, "loss": loss}
        return scalars
