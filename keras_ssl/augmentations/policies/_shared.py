"""What the policies share: values for each view, and the usual colour steps."""

from keras_ssl.augmentations.steps import (
    ColorJitter,
    GaussianBlur,
    Grayscale,
    Solarize,
    Step,
    chain,
)

# Pillow blurs without a kernel size. Of the widest blur of the papers, 2 pixels, 13
# taps hold all but 0.3 %.
PILLOW_TAPS = 13

PerView = float | tuple[float, ...]


def color_steps(
    jitter: tuple[float, float, float, float],
    jitter_probability: float,
    grayscale: float,
    blur: GaussianBlur,
    solarize: float = 0.0,
) -> tuple[Step, ...]:
    """Jitter, grayscale, blur and solarize in this order, those that can act.

    Args:
        jitter: Strengths of brightness, contrast, saturation and hue.
        jitter_probability: Of the colour jitter.
        grayscale: Probability of grayscale.
        blur: The blur.
        solarize: Probability of solarizing at half the range.

    Returns:
        The steps.

    Raises:
        ValueError: If a number is out of its range.
    """
    return chain(
        ColorJitter(*check_jitter(jitter), jitter_probability),
        Grayscale(grayscale),
        blur,
        Solarize(0.5, solarize),
    )


def check_jitter(
    jitter: tuple[float, float, float, float],
) -> tuple[float, float, float, float]:
    """Returns the strengths.

    Raises:
        ValueError: If there are not four of them.
    """
    if not isinstance(jitter, (tuple, list)) or len(jitter) != 4:
        raise ValueError(
            "Expected jitter to be the strengths of (brightness, contrast, saturation, "
            f"hue). Received: {jitter!r}"
        )
    return jitter


def check_count(count: int) -> None:
    """Raises a ValueError if `count` is no number of views."""
    if not (isinstance(count, int) and count > 0):
        raise ValueError(f"Expected count of views >= 1. Received: {count!r}")


def per_view(name: str, values: PerView, count: int) -> tuple[float, ...]:
    """One value a view, from one for all or from a list whose last one goes on.

    Args:
        name: What the values are called, for errors.
        values: A number, or a tuple of 1 to `count` numbers.
        count: Number of views.

    Returns:
        `count` numbers.

    Raises:
        ValueError: If there are none or more than views.
    """
    listed = (values,) if isinstance(values, (int, float)) else tuple(values)
    if not 0 < len(listed) <= count:
        raise ValueError(
            f"Expected {name} to be one number for all views or one for each of the "
            f"{count}, the last one going on. Received: {values!r}"
        )
    return listed + listed[-1:] * (count - len(listed))
