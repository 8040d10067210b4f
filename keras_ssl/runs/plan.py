"""What a run would be, need and take, found out without starting it."""

import functools
import math
import time
import types
from collections.abc import Callable
from typing import Any, TypeVar

import keras

from keras_ssl import schedules
from keras_ssl.callbacks.checkpoint import Checkpoint
from keras_ssl.core import config, console, distribute, run_dir, usage
from keras_ssl.data import pipeline, sources
from keras_ssl.encoders.base import kind
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.methods.base import Method
from keras_ssl.runs import (
    counts,
    encoders,
    limits,
    optimizing,
    plan_time,
    records,
    rehearsal,
    resolved,
    train,
)
from keras_ssl.runs.records import Launch

_T = TypeVar("_T")


def plan(launch: Launch, **settings: Any) -> dict[str, Any]:
    """Builds what `train` would, tries some steps, and leaves nothing.

    Args:
        launch: Directory, seed and the like.
        **settings: All other arguments of `train`.

    Returns:
        `recipe`, `run`, `problems` and `notes`, and as far as the problems allow
        `parameters`, `steps`, `flops`, `memory` (bytes) and `time` (seconds).
    """
    return _Plan(launch, settings).make()


class _Plan:
    """Goes through a run's preparations and collects what is wrong with it.

    Args:
        launch: Directory, seed and the like.
        settings: The arguments of `train`.
    """

    def __init__(self, launch: Launch, settings: dict[str, Any]) -> None:
        self.begun, self.start = time.perf_counter(), 0
        self.launch, self.given = launch, types.SimpleNamespace(**settings)
        self.problems: list[str] = []
        self.notes: list[str] = []
        # Whether a problem keeps the steps from being tried.
        self.stuck = False
        self.whole: EvaluationData | None = None
        self.saver: Checkpoint = self.given.checkpoint or Checkpoint()
        self.report: dict[str, Any] = {}

    def make(self) -> dict[str, Any]:
        """Returns the whole report."""
        self._settings()
        if self._data() and self._parts():
            self._length()
            if not self.stuck:
                self._rehearse()
        return {
            "recipe": config.resolved(),
            **self.report,
            "problems": self.problems,
            "notes": self.notes,
        }

    def _attempt(
        self, function: Callable[..., _T], *args: Any, needed: bool = False
    ) -> _T | None:
        """Calls a function; notes what it complains of and returns None then.

        The functions are those that stop a run at its first problem.
        """
        try:
            return function(*args)
        except (ValueError, TypeError, KeyError) as error:
            self.problems.append(config.explain(error))
            self.stuck |= needed
            return None

    def _settings(self) -> None:
        """Checks what needs no data."""
        given = self.given
        self.local = self._attempt(
            limits.local_rows, given.batch_size, given.accumulate, needed=True
        )
        self._attempt(
            limits.check,
            given.epochs,
            given.learning_rate_scale,
            given.steps_per_execution,
            given.max_corrupt,
            needed=True,
        )
        self._attempt(records.check_directory, self.launch)
        begun = self.launch.init_from, self.launch.init_from_except
        self._attempt(encoders.check_start, *begun)
        self.report["run"] = {
            "directory": str(self.launch.run_dir),
            "devices": distribute.devices(),
            "replicas": distribute.replicas(),
            "precision": keras.config.dtype_policy().name,
            "batch_size": given.batch_size,
            "local_batch": self.local,
            "steps_per_execution": given.steps_per_execution,
        }

    def _data(self) -> bool:
        """Opens the data; returns whether views could be made of them."""
        given, launch = self.given, self.launch
        source = self._attempt(
            sources.open_source, given.data, given.split, launch.data_dir, needed=True
        )
        if source is None:
            return False
        self.source = source
        takes = kind(given.method.encoder)
        self._attempt(sources.check_kind, source, takes, needed=True)
        if self.stuck and source.kind != takes:
            return False
        size = given.batch_size
        per_epoch = self._attempt(pipeline.steps_per_epoch, source, size, needed=True)
        self.per_epoch = max(1, per_epoch or 1)
        if per_epoch and given.steps_per_execution > 0:
            self._attempt(limits.divides, per_epoch, given.steps_per_execution)
        partners = None
        if given.partners is not None:
            partners = self._attempt(
                given.partners.prepare, source, given.max_corrupt, needed=True
            )
        self.batches = functools.partial(
            pipeline.training_batches,
            source,
            given.views,
            # What a batch would be, if there were enough images for it.
            max(1, min(size, source.count)),
            launch.seed,
            max_corrupt=given.max_corrupt,
            partners=partners,
        )
        spec = self._attempt(lambda: self.batches().element_spec, needed=True)
        if spec is None:
            return False
        self.spec = spec
        side = int(spec["views"][0].shape[1])
        self.whole = self._attempt(
            train.evaluation_data, given.evaluation, source, launch, side
        )
        return True

    def _parts(self) -> bool:
        """Makes every variable; returns whether that went well."""
        given = self.given
        self.method: Method = given.method
        self.clock = schedules.Clock(
            max(1, given.epochs) * self.per_epoch, self.per_epoch, self.source.count
        )
        rows = self.local or max(1, given.batch_size // distribute.replicas())
        spec = limits.local_spec(self.spec, rows)
        setup = (spec, self.clock, given.terms, given.accumulate if self.local else 1)
        self._attempt(self.method.setup, *setup, needed=True)
        value = self._attempt(given.learning_rate, self.clock, needed=True)
        scale = optimizing.SCALES.get(given.learning_rate_scale)
        if not self.method.built or value is None or scale is None:
            return False
        self.value = value
        self._attempt(
            optimizing.compile_method,
            self.method,
            self.clock,
            given.optimizer,
            value,
            scale(given.batch_size),
            given.rates,
            given.weight_decay,
            max(1, given.steps_per_execution),
            needed=True,
        )
        self.problems += config.unused()
        if getattr(self.method, "optimizer", None) is None:
            return False
        folder = self.launch.run_dir / run_dir.CHECKPOINTS
        self.start = self._attempt(self.saver.open, folder, self.method) or 0
        rates = (self.method, self.clock, value, given.learning_rate_scale)
        chunks = max(1, given.accumulate)
        self.report["resolved"] = resolved.resolve(*rates, given.batch_size, chunks)
        self.report["parameters"] = counts.parameters(self.method)
        return True

    def _length(self) -> None:
        """Says how long the run is, and what never happens in it."""
        given, total = self.given, self.clock.total_steps
        left_out = max(0, self.source.count - self.per_epoch * given.batch_size)
        self.report["steps"] = {
            "total": total,
            "per_epoch": self.per_epoch,
            "images": self.source.count,
            "left_out": left_out,
            "start": self.start,
        }
        if self.stuck:
            return  # What is said of a length that is none only confuses.
        if getattr(self.value, "warmup_steps", 0) >= total:
            self.problems.append(
                f"The learning rate warms up for all {total} steps of the run and "
                "never reaches its peak. Shorten the warm-up or raise train.epochs."
            )
        if left_out:
            self.notes.append(
                f"Each epoch leaves out {left_out} of {self.source.count} images, "
                f"others each time: {given.batch_size} does not divide them."
            )
        often = given.evaluation.every_epochs if self.whole else 0
        if often >= given.epochs > 1:
            self.notes.append(
                f"OnlineEvaluation.every_epochs {often} is not within the "
                f"{given.epochs} epochs: the encoder is scored before and after "
                "training only."
            )
        if not counts.saves(self.saver, self.clock, 0):
            self.notes.append(
                "No checkpoint falls within the run, so that one that is stopped "
                "starts anew. Lower Checkpoint.every_epochs or set every_steps."
            )
        if given.log_every_steps > total:
            self.notes.append(
                f"log_every_steps {given.log_every_steps} is more than the {total} "
                "steps of the run: metrics.jsonl gets a line at the end only."
            )

    def _rehearse(self) -> None:
        """Tries the run's evaluations and some of its steps."""
        ready = time.perf_counter() - self.begun
        scoring = rehearsal.Scoring()
        if self.whole is not None:
            console.say("Trying the evaluations ...")
            product = self.method.product
            scoring = rehearsal.score(self.given.evaluation, product, self.whole)
        console.say(f"Trying {rehearsal.STEPS} steps ...")
        tried = rehearsal.train(self.method, self.batches, self.start)
        saving, saved = rehearsal.save(self.method)
        # Before what the run does not do.
        memory = usage.peak_memory()
        if "process" in memory:
            memory["process"] += scoring.unseen_bytes
        console.say("Timing data and compute on their own ...")
        rehearsal.compare(tried, self.method, self.batches, self.start)
        if not math.isfinite(tried.loss):
            self.problems.append(
                f"The loss became {tried.loss} within {rehearsal.STEPS} steps. Lower "
                "the learning rate or lengthen its warm-up; in float16 try bfloat16 "
                "or float32."
            )
        size = self.given.batch_size
        self.report |= {
            "flops": {
                "step": tried.flops.products,
                "image": tried.flops.products / size,
                "per_second": tried.flops.products / tried.compute,
                "unknown": tried.flops.unknown,
                "loops": tried.flops.loops,
            },
            "memory": memory,
            "checkpoint_bytes": saved,
            "batch_bytes": tried.batch_bytes,
            "time": plan_time.estimate(
                tried,
                scoring,
                range(self.start, self.clock.total_steps),
                size,
                ready,
                self._scores_between(),
                counts.saves(self.saver, self.clock, self.start) + 1,
                saving,
            ),
        }

    def _scores_between(self) -> int:
        """Times that the encoder is scored between the first and the last step."""
        often = self.given.evaluation.every_epochs if self.whole else 0
        if not often:
            return 0
        first = self.start // self.per_epoch
        return sum(e % often == 0 for e in range(first + 1, self.given.epochs))
