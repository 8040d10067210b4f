"""How long a run would take, from steps and scores that were tried."""

from keras_ssl.runs import rehearsal


def estimate(
    tried: rehearsal.Rehearsal,
    scoring: rehearsal.Scoring,
    steps: range,
    batch_size: int,
    ready: float,
    scores_between: int,
    saves: int,
    saving: float,
) -> dict[str, float]:
    """Adds up what a run does.

    Args:
        tried: What some steps took.
        scoring: What each of the run's scorings took.
        steps: Those that are left; they start at 0 in a new run.
        batch_size: Images a step, on all replicas.
        ready: Seconds from the start to the first step.
        scores_between: Scorings after the first step and before the last one.
        saves: Checkpoints and exports.
        saving: Seconds that one of these takes.

    Returns:
        Seconds a `step`, of it `compute` and `data`, and `compiling` before it;
        `images_per_second`; `starting`, `training`, `scoring` and `saving` of the
        whole run, and their `total`.
    """
    scores = scoring.between * scores_between + scoring.after
    parts = {
        "starting": ready + tried.compiling,
        "training": tried.step * len(steps),
        "scoring": scores if steps.start else scores + scoring.before,
        "saving": saving * saves,
    }
    if not steps:  # What is finished is not done again.
        parts = dict.fromkeys(parts, 0.0) | {"starting": ready}
    return {
        "step": tried.step,
        "compute": tried.compute,
        "data": tried.data,
        "compiling": tried.compiling,
        "images_per_second": batch_size / tried.step,
        **parts,
        "total": sum(parts.values()),
    }
