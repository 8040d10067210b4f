"""What a run notes of its encoder beside the weights, for whoever loads them."""

from typing import TYPE_CHECKING, Any

from keras_ssl.core import weights_file
from keras_ssl.core.tracing import named_variables
from keras_ssl.encoders.known_output import KnownOutput

if TYPE_CHECKING:
    from keras_ssl.callbacks.checkpoint import Checkpoint
    from keras_ssl.methods.base import Method

OUTPUT = "known_output"
TRAINED = "encoder"


class Watch:
    """Notes the encoder's known output, and whether training has changed its weights.

    Args:
        saver: Opened; gets the notes.
        method: The method, its checkpoint restored.
        size: Side of its images in pixels, or length of its recordings in samples.
        precision: Dtype policy of the run.
        start: Step that the run goes on from.

    Raises:
        ValueError: If the restored encoder computes something else than it did when
            it was saved.
    """

    def __init__(
        self,
        saver: "Checkpoint",
        method: "Method",
        size: int,
        precision: str,
        start: int,
    ) -> None:
        self.method = method
        output = KnownOutput(method.product, size, precision)
        if start:
            output.check(saver.noted.get(OUTPUT), f"{saver.directory}, step {start}")
        known = saver.noted.get(TRAINED, {}) if start else {"initial": self._digest()}
        self.initial, self.changed = known.get("initial"), known.get("changed", False)
        saver.notes[OUTPUT] = output
        saver.notes[TRAINED] = self.note

    def begin(self) -> None:
        """Takes the weights of now for the initial ones: of another run, loaded."""
        self.initial = self._digest()

    def note(self) -> dict[str, Any]:
        """Whether any trained weight of the encoder is another than at the start."""
        # What has changed once is not asked again: it costs as much as a save.
        if self.initial and not self.changed:
            self.changed = self._digest() != self.initial
        return {"initial": self.initial, "changed": self.changed}

    def _digest(self) -> str:
        """SHA-256 of the weights that training is there to change.

        Moving statistics change without it. A target's copy trains nothing itself: its
        weights are those that are trained in the encoder it follows.
        """
        variables = named_variables(self.method.product)
        online = named_variables(self.method.encoder)
        trained = {k: v for k, v in variables.items() if k in online}
        trained = {k: v for k, v in trained.items() if online[k].trainable}
        return weights_file.digest(weights_file.values(trained or variables))


def untrained(step: int, notes: dict[str, Any]) -> str:
    """Says why a checkpoint's encoder is still its initial one; '' if it is not.

    Args:
        step: Of the checkpoint.
        notes: Its notes; older ones have none, and then the step alone tells.
    """
    known = notes.get(TRAINED, {})
    if step == 0:
        return "its newest checkpoint is of step 0"
    if known.get("initial") and not known["changed"]:
        return f"its {step} steps have not changed the encoder's weights"
    return ""
