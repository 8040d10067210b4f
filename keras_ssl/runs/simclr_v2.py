"""SimCLRv2 from images to a small classifier: https://arxiv.org/abs/2006.10029.

Pretrain without labels, fine-tune from the middle of the projector on few labels,
distil into a network of the same kind, then into a smaller one. Each stage leaves a
folder; the same command goes on at the first that is not done.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import keras

from keras_ssl.core import console, registry, run_dir
from keras_ssl.data import sources
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.evaluation.fine_tune import FineTune
from keras_ssl.export import saved_model
from keras_ssl.runs import child, encoders, evaluate

PRETRAINED, FINE_TUNED = "1_pretrained", "2_fine_tuned"
SELF_DISTILLED, STUDENT = "3_self_distilled", "4_student"
_DISTIL = "methods/distillation.gin"


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """What all stages have in common, and where they leave what they make.

    Attributes:
        folder: Holds a folder for each stage.
        data_dir: Where TFDS keeps data.
        seed: Seed of weights, views and of which images have labels.
        precision: `auto` or a dtype policy of Keras.
        strategy: Of the stages that are runs of the trainer.
        test_split: Split that classifiers are scored on.
    """

    folder: pathlib.Path
    data_dir: str | None = None
    seed: int = 0
    precision: str = "auto"
    strategy: str = "auto"
    test_split: str = "test"

    def run(
        self,
        files: Sequence[str],
        bindings: Sequence[str] = (),
        distil: Sequence[str] = (),
        student: Sequence[str] = (),
        tune: FineTune | None = None,
        projector_layers: int = 1,
    ) -> list[dict[str, Any]]:
        """Runs what is not done yet.

        Args:
            files: The recipe of pretraining, by path or name.
            bindings: Lines of gin for it.
            distil: Lines of gin for both distillations, such as `train.epochs = 100`.
            student: Files and lines of gin that make the smaller `encoder`; no smaller
                student if empty.
            tune: How it is fine-tuned, and with how many labels; a tenth by default.
            projector_layers: Layers of the projector that stay (`ft_proj_selector` of
                google-research/simclr); 0 fine-tunes from the encoder alone.

        Returns:
            A row of evaluations.jsonl for each classifier.

        Raises:
            ValueError: If the data has no labels, or a stage's folder holds another
                run.
            RuntimeError: If a stage of the trainer fails; it has said why.
        """
        self._train(PRETRAINED, files, bindings)
        record = run_dir.read_json(self.folder / PRETRAINED / run_dir.RUN)
        tune = dataclasses.replace(tune or FineTune(fraction=0.1), seed=self.seed)
        rows = [self._fine_tune(record, tune, projector_layers)]
        teacher = [
            "teacher = @Trained()",
            f"Trained.run = {str(self.folder / FINE_TUNED)!r}",
            f"classes = {_classes(self.folder / FINE_TUNED)}",
            f"data = {record['data']['source']!r}",
            f"train.split = {record['data']['split']!r}",
            f"image_size = {record['encoder']['image_size']}",
            "train.evaluation = None",
            *distil,
        ]
        again = ["encoder = @Untrained()"]
        again += [f"Untrained.run = {str(self.folder / PRETRAINED)!r}"]
        self._train(SELF_DISTILLED, [_DISTIL], [*again, *teacher])
        rows.append(self._score(SELF_DISTILLED, record))
        if student:
            made = [part for part in student if part.endswith(".gin")]
            lines = [part for part in student if not part.endswith(".gin")]
            best = f"Trained.run = {str(self.folder / SELF_DISTILLED)!r}"
            self._train(STUDENT, [_DISTIL, *made], [*teacher, best, *lines])
            rows.append(self._score(STUDENT, record))
        return rows

    def _train(self, stage: str, files: Sequence[str], bindings: Sequence[str]) -> None:
        """A run of the trainer in a process of its own, or the rest of it."""
        folder = self.folder / stage
        if run_dir.read_json(folder / run_dir.RUN).get("status") == "finished":
            return
        console.say(f"{stage}:")
        words = {
            "run_dir": str(folder),
            "files": list(files),
            "bindings": list(bindings),
            "precision": self.precision,
            "strategy": self.strategy,
            "seed": self.seed,
            "data_dir": self.data_dir,
        }
        status = child.run(words)
        if status:
            raise RuntimeError(
                f"{stage} ended with status {status}; what went wrong stands "
                "above. The same command goes on from there."
            )

    def _fine_tune(
        self, record: dict[str, Any], tune: FineTune, layers: int
    ) -> dict[str, Any]:
        """The classifier of the second stage, as an export."""
        out = self.folder / FINE_TUNED
        if not out.exists():
            console.say(f"{FINE_TUNED}:")
            start = self.folder / PRETRAINED
            encoder, meta = encoders.load(start, projector_layers=layers)
            keras.config.set_dtype_policy(meta["precision"])
            classifier, count = tune.fit(encoder, self._data(record))
            made = {
                **meta,
                "name": registry.name_of(classifier),
                "config": classifier.get_config(),
                "feature_dim": classifier.feature_dim,
                "labels": count,
                "fine_tuning": tune.protocol(),
            }
            saved_model.export(classifier, out, meta["image_size"], made)
        return self._score(FINE_TUNED, record)

    def _data(self, record: dict[str, Any]) -> EvaluationData:
        """What the run was pretrained on, with its labels."""
        name, split = record["data"]["source"], record["data"]["split"]
        train, test = (
            sources.open_source(name, part, self.data_dir)
            for part in (split, self.test_split)
        )
        return EvaluationData(train, test, record["encoder"]["image_size"])

    def _score(self, stage: str, record: dict[str, Any]) -> dict[str, Any]:
        """The stage's line of evaluations.jsonl, made if it is not there."""
        folder = self.folder / stage
        for row in run_dir.read_lines(folder / run_dir.EVALUATIONS):
            if row["evaluation"] == "classifier":
                return {**row, "stage": stage}
        (row,) = evaluate.evaluate(
            folder,
            ["classifier"],
            data=record["data"]["source"],
            data_dir=self.data_dir,
            train_split=record["data"]["split"],
            test_split=self.test_split,
        )
        return {**row, "stage": stage}


def _classes(path: pathlib.Path) -> int:
    """How many classes an exported classifier tells apart."""
    _, meta = encoders.read(path)
    return int(meta["feature_dim"])
