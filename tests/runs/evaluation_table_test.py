from keras_ssl.runs.evaluation_table import at_the_end, lines


def row(value, subject="encoder", name="knn", step=8, data="a", mark="f1", **more):
    splits = {
        "train": {"data": data, "images": 1000},
        "test": {"data": data, "images": 9},
    }
    seed = more.pop("seed", None)
    protocol = splits | ({} if seed is None else {"seed": seed})
    made = {"evaluation": name, "subject": subject, "step": step, "score": "top1"}
    made |= {"top1": value, "protocol": protocol, "fingerprint": mark}
    return made | more


def cells(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_line_has_one_protocol():
    rows = [
        row(0.5),
        row(0.2, "random_init", step=0),
        row(0.1, "raw_pixels", step=0),
        row(0.6, mark="f2"),
        row(0.3, name="brand_new", data="b"),
    ]
    head, _, *found = map(cells, lines(rows))
    assert head[4:] == [
        *("trained", "untrained", "raw pixels", "near duplicates", "protocol")
    ]
    assert found == [
        ["brand_new", "b", "1,000 /  / 9", "top1", "0.300", "", "", "", "`f1`"],
        ["knn", "a", "1,000 /  / 9", "top1", "0.500", "0.200", "0.100", "", "`f1`"],
        ["knn", "a", "1,000 /  / 9", "top1", "0.600", "", "", "", "`f2`"],
    ]


def test_the_last_step_counts_and_seeds_are_averaged():
    rows = [row(0.9, step=4, seed=0), row(0.4, seed=0), row(0.6, seed=1)]
    rows += [row(0.1, step=2, seed=2), row(0.5, seed=1)]
    assert cells(lines(rows)[2])[4] == "0.450 (0.400 to 0.500)"


def test_near_duplicates_stand_beside_the_score():
    beside = {"near_duplicates": 3, "of": 9, "without": {"top1": 0.25}}
    rows = [row(0.5, leakage=beside, task="CIFAR-10")]
    found = cells(lines(rows)[2])
    assert found[1] == "CIFAR-10"
    assert found[5] == "3 of 9, without 0.250"


def test_a_run_is_shown_as_it_ended():
    end = [row(0.5), row(0.2, "random_init", step=0)]
    end += [row(0.6, "encoder/projector_1", name="linear")]
    assert at_the_end([row(0.3, step=4, mark="f2"), *end]) == end
    assert at_the_end([]) == []
