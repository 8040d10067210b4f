"""Some classes of another data set, such as the fours and nines of MNIST."""

import numpy as np

from keras_ssl.core.registry import register
from keras_ssl.data.rows import rows_of
from keras_ssl.data.sources import Source, open_source


@register("dataset", "classes")
def open_classes(name: str, split: str, data_dir: str | None = None) -> Source:
    """Images of some classes of a set, such as `classes:4,9:tfds:mnist`.

    The classes are numbered anew, in the order in which they are named.

    Args:
        name: `CLASS,CLASS:SET`, the set being any labelled one.
        split: Name of the set's split; a part such as `train[:50%]` is one of the whole
            set, before classes are chosen.
        data_dir: Where TFDS keeps data.

    Returns:
        The source.

    Raises:
        ValueError: If the set has no labels, no such class, or no images of them.
    """
    words, colon, inner = name.partition(":")
    wanted = tuple(word.strip() for word in words.split(","))
    if not colon or not all(wanted) or len(set(wanted)) < len(wanted):
        raise ValueError(
            "Some classes of a set are named once each, as 'classes:4,9:tfds:mnist'; "
            f"got 'classes:{name}'."
        )
    whole = open_source(inner, split, data_dir)
    held, classes = whole.need_labels("A choice of classes")
    if unknown := [word for word in wanted if word not in classes]:
        raise ValueError(
            f"{inner!r} has no class {unknown[0]!r}; it has {', '.join(classes)}."
        )
    # From the set's numbers to the new ones; -1 for all others, and for no label.
    new = np.full(len(classes) + 1, -1)
    new[[classes.index(word) for word in wanted]] = np.arange(len(wanted))
    labels = new[np.asarray(held[np.arange(whole.count)], np.int64)]
    chosen = np.flatnonzero(labels >= 0)
    if not len(chosen):
        raise ValueError(
            f"Split {split!r} of {inner!r} has no image of {', '.join(wanted)}."
        )
    return rows_of(
        whole,
        chosen,
        name=f"classes:{name}",
        labels=labels[chosen].astype(np.int64),
        classes=wanted,
    )
