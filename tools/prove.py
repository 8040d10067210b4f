"""Proves that methods learn: one budget for all, and a table from the records.

Example: prove.py --protocol=cifar10 --methods=simclr,byol --data_dir=/data/tfds
"""

from absl import flags

try:
    from keras_ssl.tools import cli
except ModuleNotFoundError:
    import cli

PROTOCOL = flags.DEFINE_string(
    "protocol", "embedded", "embedded, cifar10, or the path of a protocol of yours."
)
METHODS = flags.DEFINE_list("methods", [], "Recipes by name or path; all by default.")
FAMILY = flags.DEFINE_string("family", None, "Only methods of this family.")
SEEDS = flags.DEFINE_list("seeds", [], "Of the protocol's seeds, those to run now.")
OUT = flags.DEFINE_string("out", "runs/proofs", "Folder of the runs.")
RECORDS = flags.DEFINE_string("records", "docs/proofs", "Folder of records and tables.")
PRECISION = flags.DEFINE_string("precision", "auto", "As for train.py.")
DATA_DIR = flags.DEFINE_string("data_dir", None, "Where TFDS keeps data.")
PLUGIN = flags.DEFINE_multi_string("plugin", [], "Module with parts of your own.")
JOBS = flags.DEFINE_integer("jobs", 1, "Runs at a time, each on its own cores.")
TABLE_ONLY = flags.DEFINE_bool("table_only", False, "Runs nothing, writes the table.")


def main() -> int:
    """Runs what is not finished, and writes the table."""
    from keras_ssl.core import config
    from keras_ssl.runs import launch, prove

    launch.load_parts(PLUGIN.value)
    config.parse(["base.gin", prove.protocol_file(PROTOCOL.value)])
    return config.call(
        "prove",
        protocol=PROTOCOL.value,
        methods=METHODS.value,
        family=FAMILY.value,
        only_seeds=[int(seed) for seed in SEEDS.value],
        out=OUT.value,
        kept=RECORDS.value,
        precision=PRECISION.value,
        data_dir=DATA_DIR.value,
        plugins=PLUGIN.value,
        jobs=JOBS.value,
        table_only=TABLE_ONLY.value,
    )


def entry() -> None:
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    entry()
