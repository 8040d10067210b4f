"""Pretraining: from parts to a run directory."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from keras_ssl import schedules
from keras_ssl.callbacks import hyperparameters
from keras_ssl.callbacks.checkpoint import Checkpoint
from keras_ssl.callbacks.feature_pictures import FeaturePictures
from keras_ssl.callbacks.finite import Finite
from keras_ssl.callbacks.health import Health
from keras_ssl.callbacks.interruption import Interruption
from keras_ssl.callbacks.method_pictures import MethodPictures
from keras_ssl.callbacks.online_evaluation import OnlineEvaluation
from keras_ssl.callbacks.pictures import draw_views
from keras_ssl.callbacks.probe import fixed_batch
from keras_ssl.callbacks.recorder import Recorder
from keras_ssl.core import config, console, distribute, run_dir
from keras_ssl.core.registry import register
from keras_ssl.data import pipeline, sources
from keras_ssl.data.partners import Partners
from keras_ssl.encoders.base import kind
from keras_ssl.evaluation.data import EvaluationData
from keras_ssl.methods.base import Method, Term
from keras_ssl.runs import (
    bad_steps,
    compared,
    encoders,
    limits,
    optimizing,
    records,
    resolved,
    sittings,
)
from keras_ssl.runs.records import Launch
from keras_ssl.runs.watch import Watch


@register("run")
def train(
    launch: Launch,
    *,
    method: Method,
    views: Any,
    optimizer: Callable[..., keras.optimizers.Optimizer],
    learning_rate: Callable[..., schedules.Value],
    data: str,
    epochs: int,
    batch_size: int,
    accumulate: int = 1,
    split: str = "train",
    partners: Partners | None = None,
    learning_rate_scale: str = "linear",
    rates: Mapping[str, schedules.Schedule | float] | None = None,
    weight_decay: schedules.Schedule | None = None,
    terms: Sequence[Term] = (),
    checkpoint: Checkpoint | None = None,
    evaluation: OnlineEvaluation | None = None,
    health: Health | None = None,
    feature_pictures: FeaturePictures | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    log_every_steps: int = 10,
    steps_per_execution: int = 1,
    max_corrupt: float = 0.01,
) -> dict[str, Any]:
    """Trains a method and leaves config, checkpoints, logs and scores.

    Call it inside a strategy's scope, so that the parts are made there. The same call
    on the same directory goes on where the last one stopped.

    Args:
        launch: Directory, seed and the like.
        method: The method, with its encoder.
        views: `(images, seeds) -> views`.
        optimizer: Makes an optimizer from `learning_rate=`.
        learning_rate: Makes a function of the step from a `Clock`.
        data: A source, such as `embedded:32`.
        epochs: Passes over the data.
        batch_size: Images in a global batch.
        accumulate: Equal chunks in which each replica goes through its share of the
            batch, so that it takes the memory of one; the gradients are those of the
            whole batch. Batch norms see a chunk at a time.
        split: Split to train on.
        partners: Which other image the second view and later ones show; the image
            itself if None.
        learning_rate_scale: `linear` (times batch / 256), `sqrt` (times the root of
            the batch) or `none`.
        rates: By pattern for `re.search` on a variable's name, such as
            `^predictor/` or `(bias|gamma|beta)$`: a schedule takes the place of the
            learning rate, scaled as that is; a number multiplies it. Several numbers
            may fit a variable, but one schedule at most. Names begin with the
            method's name of a part, or are those of checkpoints.
        weight_decay: A schedule of the optimizer's weight decay, such as
            `cosine_between`; the optimizer's own by default.
        terms: Losses that are added to the method's, such as `@Term()`.
        checkpoint: When to save; at every epoch by default.
        evaluation: What to score, and when; nothing by default.
        health: How to watch for collapse; as `Health` does by default.
        feature_pictures: What TensorBoard shows of the features; `FeaturePictures` with
            what is bound to it by default.
        callbacks: Further Keras callbacks; their `open(directory, evaluation data,
            writer)`, if any, is called before training where there are labels.
        log_every_steps: Steps between lines of `metrics.jsonl`.
        steps_per_execution: Steps between returns to Python.
        max_corrupt: Greatest share of images that may be unreadable, in [0, 1]; others
            take their place. Beyond it the run ends.

    Returns:
        The contents of `run.json` at the end.

    Raises:
        ValueError: If the settings do not fit together, or the directory holds
            another run, or too many images cannot be read.
    """
    # Bindings of it count even where nobody asks for it.
    feature_pictures = feature_pictures or config.build("callback", "FeaturePictures")
    given = dict(locals())
    if launch.instead is not None:
        return launch.instead(**given)
    begun = time.perf_counter()
    local = limits.local_rows(batch_size, accumulate)
    limits.check(epochs, learning_rate_scale, steps_per_execution, max_corrupt)
    records.check_directory(launch)
    encoders.check_start(launch.init_from, launch.init_from_except)
    source = sources.open_source(data, split, launch.data_dir)
    sources.check_kind(source, kind(method.encoder))
    per_epoch = pipeline.steps_per_epoch(source, batch_size)
    limits.divides(per_epoch, steps_per_execution)
    clock = schedules.Clock(epochs * per_epoch, per_epoch, source.count)
    prepared = None if partners is None else partners.prepare(source, max_corrupt)
    batches = functools.partial(
        pipeline.training_batches,
        source,
        views,
        batch_size,
        launch.seed,
        max_corrupt=max_corrupt,
        partners=prepared,
    )
    spec = batches().element_spec
    size = int(spec["views"][0].shape[1])
    whole = evaluation_data(evaluation, source, launch, size)
    method.setup(limits.local_spec(spec, local), clock, terms, accumulate)
    value = learning_rate(clock)
    optimizing.compile_method(
        method,
        clock,
        optimizer,
        value,
        optimizing.SCALES[learning_rate_scale](batch_size),
        rates,
        weight_decay,
        steps_per_execution,
    )
    config.check_used()
    excepted = launch.init_from_except
    encoders.check_start(launch.init_from, excepted, method.encoder)

    saver = checkpoint or Checkpoint()
    start = saver.open(launch.run_dir / run_dir.CHECKPOINTS, method)
    watch = Watch(saver, method, size, launch.precision, start)
    meet(launch, source, saver, start)
    record = records.Record(launch, method, source, size, clock, batch_size)
    record.content["resolved"] = resolved.show(
        method, clock, value, learning_rate_scale, batch_size, accumulate
    )
    record.begin(start)
    logger = Recorder(
        launch.run_dir,
        batch_size,
        clock.total_steps,
        per_epoch,
        start,
        log_every_steps,
        distribute.is_chief(),
    )
    drawn = MethodPictures(launch.run_dir, source, views, launch.seed, logger.writer)
    feature_pictures.open(launch.run_dir, source, size, batch_size, logger.writer)
    settings = compared.settings(record.content)
    columns = compared.scores(evaluation.evaluations if evaluation else ())
    hyperparameters.begin(logger.writer, settings, compared.FIRST, columns)
    probe = functools.partial(fixed_batch, source, views, launch.seed)
    watcher = (health or Health()).open(
        launch.run_dir, method, clock, batch_size, probe, logger.writer, record.tell
    )
    finite = Finite()
    saver.notes["finite"] = finite.check
    alone = launch.meeting.count == 1
    stops = Interruption(launch.signals, launch.meeting.agreement, saver, alone)
    # A step's line first: a checkpoint knows of steps that are in no line yet.
    hooks = [logger, saver, finite, watcher, stops, *callbacks]
    if distribute.is_chief():
        hooks += [drawn, feature_pictures]
    _open(callbacks, launch, whole, logger)
    scored = evaluation if whole is not None else None
    now = time.perf_counter
    begun = sittings.take_up(saver, logger, scored, record, begun, now)
    bad = bad_steps.kept(launch, batches, watcher.replay)
    stopped = stops.saving()
    with record.watch(), saver, stopped, source.unreadable.explained(), bad:
        if scored is not None and whole is not None:
            scored.set_model(method)
            scored.open(launch.run_dir, whole, logger.writer)
            # Of what is done already the chief's file tells, which it may be writing.
            scored.results = launch.meeting.everyone("scores", scored.results)[0]
            scored.begin()
            # After the save: a stop while scoring must not cost the epoch.
            hooks.append(scored)
        if launch.init_from and start == 0:
            # After the baselines: they show an encoder that saw no data at all.
            encoders.start_from(method.encoder, launch.init_from, excepted)
            for memory in method.memories:
                memory.on_built()
            watch.begin()
        if start == 0 and distribute.is_chief():
            path = launch.run_dir / run_dir.VIEWS
            shown = {"partners": prepared, "writer": logger.writer}
            draw_views(path, source, views, launch.seed, **shown)
        sittings.fit(method, batches, epochs, clock, start, hooks, record.is_finished)
        saver.save()
        if scored is not None:
            scored.finish()
            record.content["best"] = scored.best()
        hyperparameters.end(logger.writer)
        logger.writer.flush()
    return record.end(saver, sittings.spent(saver, logger, scored, now() - begun))


def meet(launch: Launch, source: sources.Source, saver: Checkpoint, start: int) -> None:
    """Refuses to go on if the workers of a run see other files than the chief does.

    Raises:
        ValueError: If their data or the checkpoints they resume from differ.
    """
    if launch.meeting.count > 1:
        launch.meeting.same(
            {
                "the step to go on from": start,
                "the digest of its weights": saver.digest()[:16],
                "the number of images": source.count,
                "the fingerprint of the data": source.fingerprint(),
                "the number of devices": distribute.replicas() / launch.meeting.count,
            }
        )


def _open(
    callbacks: Sequence[keras.callbacks.Callback],
    launch: Launch,
    whole: EvaluationData | None,
    logger: Recorder,
) -> None:
    """Tells callbacks that ask for it what the run is scored on, such as TSNE."""
    for callback in callbacks:
        if whole is not None and hasattr(callback, "open"):
            callback.open(launch.run_dir, whole, logger.writer)


def evaluation_data(
    evaluation: OnlineEvaluation | None,
    source: sources.Source,
    launch: Launch,
    size: int,
) -> EvaluationData | None:
    """Opens what is scored on; nothing where the run's own data has no labels."""
    if evaluation is None:
        return None
    if evaluation.data is None and source.labels is None:
        console.say(
            f"{source.name!r} has no labels, so the encoder is not scored while it "
            "trains. Set OnlineEvaluation.data to a labelled set, or score the run "
            "later by tools/evaluate.py --data=..."
        )
        return None
    name = evaluation.data or source.name
    train, test = (
        sources.open_source(name, part, launch.data_dir)
        for part in (evaluation.train_split, evaluation.test_split)
    )
    return EvaluationData(train, test, size, *evaluation.limits)
