"""Suites: which data sets an encoder is scored on together, and by what measure."""

import dataclasses
from collections.abc import Sequence

from keras_ssl.core import registry


@dataclasses.dataclass(frozen=True)
class Task:
    """A data set of a suite.

    Attributes:
        name: What tables call it.
        data: The source's name; empty where everybody must bring their own.
        train: Split that is fitted.
        val: Split that the penalty is chosen on; or how many images of train are.
        test: Split that is scored.
        score: `top1`, `mean_per_class` or `map` (VOC 2007's eleven points).
        images: Images of train (without those held out), val and test, as published.
        download: Bytes to download, GB; what TFDS lists for it.
    """

    name: str
    data: str
    train: str = "train"
    val: str | int = "validation"
    test: str = "test"
    score: str = "top1"
    images: tuple[int, int, int] | None = None
    download: float | None = None


_VOC = "tfds:voc/2007?label=labels&certain=labels_no_difficult"

_SUITES: dict[str, tuple[Task, ...]] = {
    # SimCLR, appendix B.8 (https://arxiv.org/abs/2002.05709), after Kornblith et al.
    "transfer": (
        Task("Food-101", "tfds:food101", val=7575, test="validation",
             images=(68175, 7575, 25250), download=5.0),
        Task("CIFAR-10", "tfds:cifar10", val=5000,
             images=(45000, 5000, 10000), download=0.17),
        Task("CIFAR-100", "tfds:cifar100", val=5000,
             images=(45000, 5000, 10000), download=0.17),
        Task("Birdsnap", "", images=(42405, 4981, 2443)),
        Task("SUN397", "tfds:sun397/standard-part1-120k",
             images=(15880, 3970, 19850), download=39.1),
        Task("Stanford Cars", "tfds:cars196", val=1650,
             images=(6494, 1650, 8041), download=2.0),
        Task("FGVC Aircraft", "", score="mean_per_class",
             images=(3334, 3333, 3333)),
        Task("VOC 2007", _VOC, score="map",
             images=(2501, 2510, 4952), download=0.91),
        Task("DTD", "tfds:dtd", images=(1880, 1880, 1880), download=0.63),
        Task("Oxford-IIIT Pets", "tfds:oxford_iiit_pet", val=740,
             score="mean_per_class", images=(2940, 740, 3669), download=0.81),
        Task("Caltech-101", "tfds:caltech101", val=510, score="mean_per_class",
             images=(2550, 510, 6084), download=0.13),
        Task("Oxford Flowers", "tfds:oxford_flowers102", score="mean_per_class",
             images=(1020, 1020, 6149), download=0.34),
    ),
    # Small ones, among them sets that TFDS reads from their files.
    "small": (
        Task("CIFAR-10", "tfds:cifar10", val=5000,
             images=(45000, 5000, 10000), download=0.17),
        Task("Fashion-MNIST", "tfds:fashion_mnist", val=6000,
             images=(54000, 6000, 10000), download=0.03),
        Task("Imagenette 128", "tfds:imagenette128", val=947, test="validation",
             score="mean_per_class", images=(8522, 947, 1246)),
        Task("BCCD cells", "tfds:bccd?label=objects/label", score="map",
             images=(205, 87, 72), download=0.01),
    ),
    # Made here, without download.
    "embedded": (
        Task("embedded 32", "embedded:32", val=1000, images=(9000, 1000, 2000)),
    ),
}  # fmt: skip


def add(name: str, tasks: Sequence[Task]) -> None:
    """Adds a suite, such as from a module given by `--plugin`.

    Args:
        name: What it is called from now on.
        tasks: Its data sets.

    Raises:
        ValueError: If the name is taken, or tasks share a name.
    """
    if _SUITES.get(name, tuple(tasks)) != tuple(tasks):
        raise ValueError(f"There is a suite {name!r} already; take another name.")
    if not tasks or len({task.name for task in tasks}) < len(tasks):
        raise ValueError(f"The suite {name!r} needs tasks of different names.")
    _SUITES[name] = tuple(tasks)


def get(name: str) -> tuple[Task, ...]:
    """The tasks of a suite.

    Raises:
        ValueError: If there is none of that name.
    """
    if name not in _SUITES:
        hint = registry.did_you_mean(name, sorted(_SUITES))
        raise ValueError(f"No suite {name!r}.{hint}")
    return _SUITES[name]
