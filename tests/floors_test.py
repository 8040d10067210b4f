"""The floors of the house: who may import whom, read from the sources."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FLOORS = {
    # Operations know nothing of ours; losses and layers are made of them.
    **dict.fromkeys(("core", "schedules", "ops"), 0),
    **dict.fromkeys(("losses", "metrics", "layers", "augmentations"), 1),
    **dict.fromkeys(("data", "optimizers"), 1),
    **dict.fromkeys(("encoders", "heads", "memory"), 2),
    **dict.fromkeys(("methods", "evaluation", "export", "converters"), 3),
    "callbacks": 4,
    "runs": 5,
    "tools": 6,
}
# Schedules register themselves: the ground carries its own floor.
NEIGHBOURS = {("schedules", "core")}
# What methods share; they never see each other.
METHODS_SHARED = tuple(
    f"keras_ssl.methods.{name}"
    for name in ("accumulation", "base", "multi_crop", "self_distillation")
)
METHODS_NEVER = {"encoders", "data", "optimizers"}
FILES = [
    *(ROOT / "keras_ssl").rglob("*.py"),
    *(f for f in (ROOT / "tools").rglob("*.py")),
]


def imports(tree):
    """Dotted names of everything that is imported, `from` names included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from (f"{base}.{alias.name}" for alias in node.names)


def dotted(tree):
    """`tf.distribute.Strategy` and the like, as written."""
    return [ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute)]


def begins(name, *prefixes):
    return any(f"{name}.".startswith(f"{prefix}.") for prefix in prefixes)


def upward(mine, file, name):
    """Whether a module of folder `mine` may not import `keras_ssl` module `name`."""
    parts = name.split(".")[1:]
    if not parts or parts[0].startswith("__"):
        return False
    theirs = parts[0]
    if theirs not in FLOORS or theirs == "tools":
        return mine != "tools"
    if theirs == "methods" and not begins(name, *METHODS_SHARED):
        return True
    if mine == "methods" and theirs in METHODS_NEVER:
        return True
    lower = FLOORS[theirs] < FLOORS[mine]
    return not (lower or theirs == mine or (mine, theirs) in NEIGHBOURS)


def broken(file, source):
    """Rules that a module breaks; `file` is relative to the root."""
    mine = pathlib.Path(file).parts[file.startswith("keras_ssl/")].removesuffix(".py")
    tree, found = ast.parse(source), []
    if mine == "__init__":
        # Who asks for the version alone waits for nothing; functions may import.
        first = ast.Module([n for n in tree.body if not isinstance(n, ast.FunctionDef)])
        parts = [n for n in imports(first) if n.split(".")[0] not in ("os", "typing")]
        return ["the package imports its parts"] if parts else []
    for name in imports(tree):
        if begins(name, "keras_ssl") and upward(mine, file, name):
            found.append(f"imports {name}")
        if begins(name, "tools") or name.startswith("."):
            found.append(f"imports {name}")
        if mine != "core" and begins(name, "gin", "tensorflow.distribute"):
            found.append(f"uses {name} outside core")
        if mine != "tools" and begins(name, "absl.flags", "absl.app"):
            found.append(f"uses {name} outside tools")
    if mine != "core" and any(
        begins(name, "tf.distribute", "tensorflow.distribute") for name in dotted(tree)
    ):
        found.append("uses tf.distribute outside core")
    if mine == "losses":
        kinds = (ast.ClassDef, ast.Global, ast.Nonlocal)
        has = any(isinstance(node, kinds) for node in ast.walk(tree))
        has |= any(name.endswith(".Variable") for name in dotted(tree))
        found += ["losses with classes or state"] * has
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_keeps_to_its_floor(path):
    file = path.relative_to(ROOT).as_posix()
    assert broken(file, path.read_text(encoding="utf-8")) == []


def test_every_folder_has_a_floor():
    assert len(FILES) > 40
    top = {
        p.name for p in (ROOT / "keras_ssl").iterdir() if (p / "__init__.py").exists()
    }
    assert top <= set(FLOORS)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("keras_ssl/core/x.py", "from keras_ssl import schedules"),
        ("keras_ssl/layers/x.py", "from keras_ssl.losses import nt_xent"),
        ("keras_ssl/layers/x.py", "def f():\n    import keras_ssl.runs.train"),
        ("keras_ssl/evaluation/x.py", "from keras_ssl.methods import base"),
        ("keras_ssl/methods/x.py", "from keras_ssl.methods.simclr import SimCLR"),
        ("keras_ssl/methods/x.py", "from keras_ssl import encoders"),
        ("keras_ssl/methods/x.py", "from keras_ssl.data import sources"),
        ("keras_ssl/methods/x.py", "from .base import Method"),
        ("keras_ssl/runs/x.py", "from keras_ssl.methods.simclr import SimCLR"),
        ("keras_ssl/runs/x.py", "from keras_ssl.tools import cli"),
        ("keras_ssl/runs/x.py", "from tools import cli"),
        ("keras_ssl/runs/x.py", "from absl import flags"),
        ("keras_ssl/runs/x.py", "import gin"),
        ("keras_ssl/runs/x.py", "from gin import config_parser"),
        ("keras_ssl/runs/x.py", "s = tf.distribute.get_strategy()"),
        ("keras_ssl/runs/x.py", "from tensorflow import distribute"),
        ("keras_ssl/losses/x.py", "class Loss: ..."),
        ("keras_ssl/losses/x.py", "center = tf.Variable(0.0)"),
        ("keras_ssl/__init__.py", "from keras_ssl import losses"),
    ],
)
def test_a_broken_rule_is_seen(file, source):
    assert broken(file, source)
