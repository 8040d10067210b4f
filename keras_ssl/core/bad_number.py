"""What a run raises when a number in it is none."""

from collections.abc import Mapping


class BadNumberError(FloatingPointError):
    """The loss or a weight became NaN or infinite.

    Args:
        step: The step after which it was seen, from 1.
        scalars: What the step logged, `loss` among it.
        count: Steps of which it may have been any, `step` the last of them.
        what: What was seen; by default that of the loss.
    """

    def __init__(
        self, step: int, scalars: Mapping[str, float], count: int = 1, what: str = ""
    ) -> None:
        seen = f"{what}, though the loss is {scalars['loss']:.6g}," if what else ""
        super().__init__(
            f"{seen or 'The loss became ' + str(scalars['loss'])} at step {step}. "
            "Lower the learning rate or lengthen its warm-up; in float16 try "
            "bfloat16 or float32. The run resumes from its last checkpoint."
        )
        self.step, self.scalars, self.count = step, dict(scalars), count
