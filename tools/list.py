"""Lists registered parts: methods, encoders, views, data sets, evaluations, ...

Example: list.py --kind=method --format=json
"""

import json

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

KIND = flags.DEFINE_string("kind", None, "One kind only, such as method.")
FORMAT = flags.DEFINE_enum("format", "table", ["table", "json"], "How to print.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")


def main() -> int:
    """Prints a row a part."""
    from keras_ssl.core import console
    from keras_ssl.runs import launch, listing

    launch.load_parts(PLUGIN.value)
    rows = listing.rows(KIND.value)
    if FORMAT.value == "json":
        console.write(json.dumps(rows, indent=2))
    else:
        console.show([{k: str(v) for k, v in row.items()} for row in rows])
    return 0


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
