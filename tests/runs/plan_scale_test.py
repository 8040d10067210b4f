"""A plan for many devices counts what the step that trains would compute and send."""

import json

import pytest

from keras_ssl.core import distribute, pretend
from keras_ssl.core.flops import Flops
from keras_ssl.core.pretend import Collective
from keras_ssl.runs import plan_scale, scale_text, scale_time
from keras_ssl.runs.scale_time import Machine

TINY = ["methods/simclr.gin", "tiny.gin"]
MACHINE = Machine(link_gbps=8.0, link_latency_us=10.0, device_tflops=1.0)
BATCH = 16  # tiny.gin's.


@pytest.fixture(scope="module")
def tiny():
    """SimCLR on 1, 4 and 8 devices."""
    return plan_scale.plan(TINY, [], ["1", 4, "8"], MACHINE)


def rows(found, where):
    return [row for row in found["meetings"] if row["where"] == where]


def test_one_device_meets_nobody(tiny):
    alone = tiny["devices"][0]
    assert alone["meetings"] == []
    assert alone["seconds"]["communication"] == 0
    assert alone["no_overlap"]["efficiency"] == 1
    assert alone["flops"]["backward"] > alone["flops"]["forward"] > 0
    assert alone["flops"]["unknown"] == alone["flops"]["loops"] == 0


def test_gradients_are_as_large_as_what_is_trained(tiny):
    for found in tiny["devices"][1:]:
        (gradients,) = rows(found, "gradients")
        assert gradients["count"] == 1
        assert gradients["bytes"] == 4 * found["trained"]
        n = found["devices"]
        assert gradients["sent"] == 2 * (n - 1) / n * gradients["bytes"]


def test_the_loss_gathers_both_views_and_sums_their_gradients(tiny):
    for found in tiny["devices"][1:]:
        n, local = found["devices"], found["local_batch"]
        assert n * local == BATCH == tiny["batch_size"]
        by_kind = {row["kind"]: row for row in rows(found, "losses.contrastive")}
        gathered, summed = by_kind["all-gather"], by_kind["all-reduce"]
        assert (gathered["count"], gathered["backward"]) == (1, False)
        assert (summed["count"], summed["backward"]) == (1, True)
        width = 128  # projector/MLP.widths = (256, 128)
        assert gathered["bytes"] == 2 * local * width * 4
        assert gathered["sent"] == (n - 1) * gathered["bytes"]
        assert summed["bytes"] == n * gathered["bytes"]


def test_batch_norm_sends_mean_and_variance_of_each_layer_both_ways(tiny):
    # SmallResNet of tiny.gin: a stem, two blocks with shortcuts; the projector's.
    channels = (16, 8, 8, 8, 16, 16, 16, 256)
    forward, backward = sorted(
        rows(tiny["devices"][1], "layers.batch_norm"), key=lambda row: row["backward"]
    )
    for row in (forward, backward):
        assert row["count"] == 2 * len(channels)
        assert row["bytes"] == 2 * 4 * sum(channels)


def test_the_batch_is_shared_out_but_not_what_is_compared(tiny):
    four, eight = (each["flops"]["forward"] for each in tiny["devices"][1:])
    # 2n rows by 2N columns, n being half as many on twice the devices.
    assert four == 2 * eight


def test_times_follow_from_what_is_assumed():
    met = [
        Collective("all-reduce", pretend.GRADIENTS, (250_000_000,), 1_000_000_000),
        Collective("all-gather", "losses.x", (), 1_000_000),
    ]
    machine = Machine(8.0, 1000.0, 1.0, 0.5)
    found = scale_time.estimate(4, Flops(10**12), Flops(3 * 10**12), met, machine, 3600)
    # 3 TFLOP at 0.5 TFLOP/s; 1.5 GB and 3 MB at 1 GB/s, and 1 ms each.
    assert found["seconds"] == pytest.approx(
        {
            "compute": 6.0,
            "communication": 1.505,
            "gradients": 1.501,
            "latencies": 0.002,
        }
    )
    plain, hidden = found["no_overlap"], found["full_overlap"]
    assert plain["step_seconds"] == pytest.approx(7.505)
    assert plain["efficiency"] == pytest.approx(6 / 7.505)
    assert plain["steps_an_hour"] == pytest.approx(3600 / 7.505)
    assert plain["hours"] == pytest.approx(7.505)
    # Backward takes 4 s, in which the gradients' sum finds room.
    assert hidden["step_seconds"] == pytest.approx(6.004)
    slow = scale_time.estimate(
        4, Flops(10**12), Flops(2 * 10**12), met, machine._replace(link_gbps=1.0), 1
    )
    # 12.001 s of gradients beside 2 s of backward.
    assert slow["full_overlap"]["step_seconds"] == pytest.approx(
        4.0 + 12.001 - 2.0 + 0.025
    )


def test_record_and_text(tiny, tmp_path):
    file = tmp_path / "deep" / "plan.json"
    plan_scale.write(str(file), "python tools/plan_scale.py", tiny)
    read = json.loads(file.read_text("utf-8"))
    assert read["command"] == "python tools/plan_scale.py"
    assert read["assumed"] == MACHINE._asdict()
    shown = scale_text.text(read)
    for words in ("link_gbps 8", "utilisation 0.4", "Where 8 replicas meet"):
        assert words in shown


def test_what_is_pretended_ends():
    kept = distribute.gather, distribute.replicas()

    def fail():
        with pretend.replicas(8):
            assert distribute.replicas() == 8
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (distribute.gather, distribute.replicas()) == kept


@pytest.mark.parametrize(
    ("devices", "changes", "words"),
    [
        ([3], {}, "batch_size 16 cannot be shared equally by 3 replicas"),
        (["4", "x"], {}, "devices must be whole numbers of at least 1.*got 'x'"),
        ([0], {}, "devices must be whole numbers of at least 1"),
        ([], {}, "devices must name at least one number"),
        ([4], {"link_gbps": 0.0}, "link_gbps must be positive and finite, got 0.0"),
        ([4], {"device_tflops": -1.0}, "device_tflops must be positive"),
        ([4], {"link_latency_us": float("nan")}, "link_latency_us must be positive"),
        ([4], {"utilisation": 1.5}, "utilisation is a share of the peak, at most 1"),
    ],
)
def test_bad_numbers(devices, changes, words):
    with pytest.raises(ValueError, match=words):
        plan_scale.plan(TINY, [], devices, MACHINE._replace(**changes))


def test_an_unknown_recipe_and_an_unknown_number_of_examples():
    with pytest.raises(ValueError, match="No configuration 'methods/simcrl"):
        plan_scale.plan(["methods/simcrl.gin"], [], [4], MACHINE)
    with pytest.raises(ValueError, match=r"examples must be at least 1, got 0"):
        plan_scale.plan(TINY, [], [4], MACHINE, 0)
    unknown = ["data = 'tfds:imagenet2012'"]
    with pytest.raises(ValueError, match="is not known here: say it by --examples"):
        plan_scale.plan(TINY, unknown, [4], MACHINE, data_dir="/nowhere")


def test_data_that_are_not_here_need_not_be_read():
    found = plan_scale.plan(
        TINY,
        ["data = 'tfds:imagenet2012'", "image_size = 64"],
        [4],
        MACHINE,
        examples=1_281_167,
    )
    assert found["examples"] == 1_281_167
    assert found["steps"] == 2 * (1_281_167 // BATCH)


@pytest.mark.slow
def test_resnet50_is_4_1_giga_multiply_adds_an_image():
    found = plan_scale.plan(
        ["recipes/imagenet/simclr.gin"],
        ["train.batch_size = 64"],
        [32],
        MACHINE,
        examples=1_281_167,
    )
    (each,) = found["devices"]
    views = 2 * each["local_batch"]
    assert each["flops"]["forward"] / views / 2 == pytest.approx(4.1e9, rel=0.02)
    # Each product has two gradients, but the stem's needs none of the pixels.
    assert each["flops"]["backward"] / each["flops"]["forward"] == pytest.approx(
        2, 0.03
    )
    assert rows(each, "gradients")[0]["bytes"] == 4 * each["trained"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("cpc", "losses.predictive"),
        ("drlim", "methods.drlim"),  # Its partners need the data themselves.
        ("swav", "memory.queue"),
    ],
)
def test_other_recipes(name, where):
    found = plan_scale.plan([f"methods/{name}.gin", "tiny.gin"], [], [4], MACHINE)
    (each,) = found["devices"]
    assert rows(each, where)
    assert rows(each, "gradients")[0]["bytes"] == 4 * each["trained"]
