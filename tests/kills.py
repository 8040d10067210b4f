"""Runs that are killed, and go on: each sitting is a process of its own.

They are forked from one that has imported everything and started nothing, so that a
sitting costs no import. Where a sitting dies is told to it by its environment, so that
all sittings of a run have the same recipe, and the same command.
"""

import contextlib
import json
import os
import pathlib
import random
import signal
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf

from keras_ssl.core import durable, run_dir
from keras_ssl.core.registry import register
from keras_ssl.evaluation import results
from keras_ssl.runs import launch
from keras_ssl.runs import train as training

# Lines and saves neither at every step nor together, and saves beside those at an
# epoch's end: at 3, 4, 7 and 8 of the 8 steps.
WORDS = ["train.log_every_steps = 3", "Checkpoint.every_steps = 3"]
BARE = "train.evaluation = None"
STEPS, SAVES, LINES = 8, 4, 3
TIMES = {"seconds", "images_per_second", "data_wait"}
PHASES = ("step", "save", "rename", "line")


def die():
    """As when the machine takes the process away: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def chosen(seed, phases=PHASES):
    """A place to die at: a phase, its how-maniest time, and how far into it."""
    draw = random.Random(str(seed))
    phase = draw.choice(phases)
    most = {"step": STEPS, "save": SAVES, "rename": SAVES, "line": LINES, "score": 6}
    place = {"phase": phase, "count": draw.randint(1, most[phase])}
    return {**place, "share": round(draw.random(), 3)}


def cases(names):
    """Every method killed once on each number of devices; some while it is scored.

    Returns:
        Cases for `main` by `(recipe, devices)`.
    """
    found = {}
    for at, name in enumerate(names):
        for devices in (1, 2):
            scored = devices == 1 and at % 8 == 1
            place = chosen(f"{name} {devices}", ("score",) if scored else PHASES)
            words = [] if scored else [BARE]
            case = {"what": "once", "recipe": name, "words": words, "place": place}
            found[name, devices] = {**case, "devices": devices}
    return found


def half(names):
    """One case of each method: a seeded choice of half of them on two devices."""
    two = set(random.Random(6).sample(names, len(names) // 2))
    return [(name, 2 if name in two else 1) for name in names]


class Place:
    """Where this process dies, if it is told to."""

    def __init__(self):
        told = json.loads(os.environ.get("KILL", "{}"))
        self.phase, self.share = told.get("phase"), told.get("share", 0.0)
        self.left = told.get("count", 0)

    def reached(self, phase):
        """Counts; whether it is now."""
        self.left -= phase == self.phase
        return phase == self.phase and self.left == 0


class Mortal:
    """A file that takes the process with it once so many bytes are written."""

    def __init__(self, file, most):
        self.file, self.left = file, most

    def write(self, data):
        size = memoryview(data).nbytes
        if size > self.left:
            self.file.write(bytes(data)[: self.left])
            self.file.flush()
            die()
        self.left -= size
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)


@register("callback", "Kill")
class Kill(keras.callbacks.Callback):
    """Ends its process after a step: in a save, a line or a result by patches."""

    def __init__(self):
        super().__init__()
        self.place = Place()
        replacing, append = durable.replacing, run_dir.append_line
        result, place = results.result, self.place

        @contextlib.contextmanager
        def mortal(path, mode="wb", needed=None):
            counts = pathlib.Path(path).name.startswith("step_")
            in_save = counts and place.reached("save")
            in_rename = counts and place.reached("rename")
            with replacing(path, mode, needed) as file:
                yield Mortal(file, int(place.share * needed)) if in_save else file
                if in_rename:
                    file.flush()
                    die()

        def cut(path, row):
            if pathlib.Path(path).name == run_dir.METRICS and place.reached("line"):
                line = json.dumps(row)
                with pathlib.Path(path).open("a") as file:
                    file.write(line[: int(place.share * len(line))])
                die()
            append(path, row)

        def scored(*args):
            row = result(*args)
            if place.reached("score"):
                die()
            return row

        durable.replacing, run_dir.append_line = mortal, cut
        results.result = scored

    def on_train_batch_end(self, batch, logs=None):
        if self.place.reached("step"):
            die()


def sitting(folder, recipe, words, devices, place=None, whole=False):
    """Forks a process that trains, or goes on; returns its number."""
    number = os.fork()
    if number:
        return number
    status = 1
    try:
        os.environ["KILL"] = json.dumps(place or {})
        log = os.open(f"{folder}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if not whole:
            # Nobody looks at pictures and exports here.
            launch._report = training.draw_views = lambda *args, **kwargs: None
        status = launch.train(
            str(folder),
            [f"methods/{recipe}.gin", "tiny.gin"],
            [*WORDS, "train.callbacks = [@Kill()]", *words],
            strategy="mirrored" if devices > 1 else "one",
            cpu_devices=devices,
            precision="float32",
            plugins=["tests.kills"],
        )
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def ended(number):
    """The status that a process ends with; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def once(out, recipe, words, devices, place):
    """An unbroken run, and one that is killed and goes on; tells of both."""
    whole, broken = out / f"{recipe}_{devices}", out / f"{recipe}_{devices}_killed"
    begun = time.perf_counter()
    told = {"recipe": recipe, "devices": devices, "place": place}
    told["unbroken"] = ended(sitting(whole, recipe, words, devices))
    told["killed"] = ended(sitting(broken, recipe, words, devices, place))
    told["resumed"] = ended(sitting(broken, recipe, words, devices))
    told["seconds"] = round(time.perf_counter() - begun, 1)
    return {**told, "whole": str(whole), "broken": str(broken)}


def progress(folder):
    """How far a run is, by what it leaves: lines and checkpoints, halves included."""
    saved = list((folder / run_dir.CHECKPOINTS).glob("*"))
    saved += (folder / run_dir.CHECKPOINTS).glob(".step*")
    lines = sum(
        (folder / name).read_bytes().count(b"\n")
        for name in (run_dir.METRICS, run_dir.EVALUATIONS)
        if (folder / name).exists()
    )
    newest = max((path.name for path in saved), default="")
    exported = any(folder.glob(f"*{run_dir.EXPORT}*"))
    return lines, newest, len(saved), exported


def storm(out, recipe, words, devices, seed, kills):
    """A run that is killed from outside again and again, at any moments."""
    draw, broken = random.Random(seed), out / f"{recipe}_{devices}_storm"
    whole = out / f"{recipe}_{devices}_calm"
    told = {"recipe": recipe, "devices": devices, "killed": 0, "at": []}
    told["unbroken"] = ended(sitting(whole, recipe, words, devices, whole=True))
    status = -signal.SIGKILL
    while status == -signal.SIGKILL:
        number = sitting(broken, recipe, words, devices, whole=True)
        # So many changes of its files, and a moment that is shorter than a step.
        changes, before = draw.randint(1, 3), progress(broken)
        while told["killed"] < kills and changes:
            if os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                break
            time.sleep(0.001)
            now = progress(broken)
            changes, before = changes - (now != before), now
        if told["killed"] < kills and not changes:
            time.sleep(draw.random() * 0.02)
            os.kill(number, signal.SIGKILL)
        status = ended(number)
        told["killed"] += status == -signal.SIGKILL
        told["at"].append(before)
    return {**told, "resumed": status, "whole": str(whole), "broken": str(broken)}


def scalars(folder):
    """What TensorBoard shows of a run: steps and values by tag, times aside.

    A result that was shown, and whose row then was lost, is there twice, alike.
    """
    from tensorboard.backend.event_processing import plugin_event_accumulator as reader

    found = reader.EventAccumulator(str(folder / run_dir.TENSORBOARD), {"tensors": 0})
    found.Reload()
    return {
        tag: sorted({(e.step, str(tf.make_ndarray(e.tensor_proto))) for e in events})
        for tag in found.Tags()["tensors"]
        if not tag.startswith("speed/")
        for events in [found.Tensors(tag)]
        if tag != "map"
    }


def left(folder):
    """What a run leaves, without times: equal for runs that are as good as one."""
    folder = pathlib.Path(folder)
    record = run_dir.read_json(folder / run_dir.RUN)
    rows = run_dir.read_lines(folder / run_dir.METRICS)
    return {
        "status": record["status"],
        "digest": record["weights_digest"],
        "best": record.get("best"),
        "unreadable": record["data"]["unreadable"],
        "metrics": [{k: v for k, v in r.items() if k not in TIMES} for r in rows],
        "evaluations": run_dir.read_lines(folder / run_dir.EVALUATIONS),
        "scalars": scalars(folder),
        "files": sorted(
            str(path.relative_to(folder))
            for path in folder.rglob("*")
            if run_dir.TENSORBOARD not in path.parts
        ),
    }


def main():
    """Takes a folder and cases, the functions' arguments in JSON; tells of each."""
    out, *cases = sys.argv[1:]
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    launch.load_parts(["tests.kills"])
    for case in map(json.loads, cases):
        function = {"once": once, "storm": storm}[case.pop("what")]
        run_dir.append_line(out / "told.jsonl", function(out, **case))
