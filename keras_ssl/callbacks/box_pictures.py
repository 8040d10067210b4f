"""Pictures of boxes: what a detector found, over the images."""

import math
import os
import pathlib
from collections.abc import Sequence

import numpy as np


def draw_boxes(
    path: str | os.PathLike[str],
    images: Sequence[np.ndarray],
    found: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    classes: Sequence[str],
    truth: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
    least: float = 0.3,
) -> None:
    """Draws images with the boxes that were found in them, as a PNG.

    Args:
        path: Where to.
        images: `(h, w, 3)` each, uint8 or floats in [0, 1].
        found: Of each image boxes `(k, 4)`, `y0, x0, y1, x1` in [0, 1], their scores
            `(k,)` and class numbers `(k,)`; drawn in the colour of the class, with the
            score.
        classes: Names of the classes.
        truth: Of each image its own boxes `(m, 4)` and class numbers `(m,)`; dashed.
        least: Boxes of lower scores are not drawn.

    Raises:
        ValueError: If there is no image, or not one entry for each.
    """
    # Imported late: drawing is rare, and the import takes a second.
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    own = [(np.zeros((0, 4)), np.zeros(0, int))] * len(images)
    own = own if truth is None else list(truth)
    if not len(images) or not len(images) == len(found) == len(own):
        raise ValueError(
            f"There are {len(images)} images, and boxes of {len(found)}, truth of "
            f"{len(own)}; each image needs one entry."
        )
    columns = min(4, len(images))
    rows = math.ceil(len(images) / columns)
    figure = Figure(figsize=(3 * columns, 3 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    shown: dict[int, Rectangle] = {}
    for axis, image, (boxes, scores, labels), (real, kinds) in zip(
        axes, images, found, own, strict=False
    ):
        height, width = image.shape[:2]
        axis.imshow(image)
        for box, label, score in [
            *((b, k, None) for b, k in zip(real, kinds, strict=True)),
            *(z for z in zip(boxes, labels, scores, strict=True) if z[2] >= least),
        ]:
            y0, x0, y1, x1 = np.asarray(box) * (height, width, height, width)
            color, style = f"C{int(label) % 10}", "--" if score is None else "-"
            # Pixel 0 of `imshow` reaches from -0.5 to 0.5.
            patch = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0)
            patch.set(fill=False, edgecolor=color, linestyle=style, linewidth=1.2)
            axis.add_patch(patch)
            shown.setdefault(int(label), patch)
            if score is not None:
                axis.text(x0, y0, f"{score:.2f}", color=color, fontsize=7)
    names = {classes[label]: shown[label] for label in sorted(shown)}
    if names:
        figure.legend(names.values(), names.keys(), loc="outside lower center", ncols=5)
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
