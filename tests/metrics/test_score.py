"""The whole scorer: oracle and silence on every metric, properties, groups, refusals."""

import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.errors import DataError
from prospect.metrics import segments, state
from prospect.metrics.baselines import BASELINES, training_statistics
from prospect.metrics.pool import table
from prospect.metrics.registry import METRICS, stats
from prospect.metrics.score import HEADLINE, score
from prospect.types import Event, Prediction, Transition
from tests.metrics.worlds import as_clip, embed, event, random_stream, stream

STREAMS = [random_stream(seed) for seed in range(12)]
TRAINING = training_statistics([as_clip(random_stream(seed)) for seed in range(100, 112)])


def pooled(prediction: Prediction) -> dict[str, float]:
    """Every metric of one stream; NaN where it does not exist."""
    pool = table([stats(prediction, embed)], ["v"]).plain()
    return {name: float(metric.function(pool)[0]) for name, metric in METRICS.items()}


def test_oracle_is_best_at_every_metric() -> None:
    found = score([BASELINES["oracle"](item, TRAINING) for item in STREAMS], embed=embed)
    for group, metrics in found["systems"]["oracle"]["groups"].items():
        for name, metric in METRICS.items():
            value = metrics[name]["value"]
            # nothing is reopened, refreshed, told, timed or counted in tokens in these streams
            if value is None:
                absent = ("reopen_", "lm_", "tokens_", "unusable_", "frames_per_s", "real_time")
                untimed = ("latency_", "first_token_")
                assert name.startswith((*absent, *untimed)) or name.endswith(("refresh", "told")), (
                    name
                )
            elif metric.best is not None:
                assert value == metric.best, (group, name)
    assert all(found[name] == 1 for name in HEADLINE)


def test_silence_recalls_nothing_and_divides_by_nothing() -> None:
    found = score([BASELINES["silent"](item, TRAINING) for item in STREAMS], embed=embed)
    metrics = found["systems"]["silent"]["groups"]["pooled"]
    for name in METRICS:
        if "recall" in name and not name.startswith("reopen") and not name.endswith("adaptive"):
            assert metrics[name]["value"] == 0, name
        if "precision" in name:
            assert metrics[name]["value"] is None, name
    json.dumps(found, allow_nan=False)


def test_all_baselines_give_json() -> None:
    made = [make(item, TRAINING) for make in BASELINES.values() for item in STREAMS]
    found = score(made, embed=embed)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found["systems"]) == list(BASELINES)


def eventful(seed: int) -> Prediction:
    """A perfect prediction with all that a state score can be about: the last step is reopened,
    the context is refreshed, and a system that was told the references has every start asked."""
    made = random_stream(seed)
    last = [item for item in made.references if item.transitions][-1].transitions[-1].step_id
    again = (
        event(made.stop_frame - 15, f"{last}->reopen"),
        event(made.stop_frame - 8, f"{last}->complete"),
    )
    made = replace(made, references=(*made.references, *again))
    fed = ("self", "reference_state")[seed % 2]
    perfect = BASELINES["oracle"](made, TRAINING)
    return replace(perfect, fed=fed, refreshes=(made.stop_frame // 2,))  # type: ignore[arg-type]


def test_eventful_streams_have_every_state_score() -> None:
    state_scores = {**state.METRICS, **segments.METRICS}
    found = pooled(eventful(1))
    assert all(found[name] == metric.best for name, metric in state_scores.items())
    assert {metric.higher_is_better for metric in state_scores.values()} == {True, False, None}


Change = Callable[[list[tuple[int, Transition]], random.Random, Prediction], None]


def remove(moves: list[tuple[int, Transition]], rng: random.Random, made: Prediction) -> None:
    moves.pop(rng.randrange(len(moves)))


def add(moves: list[tuple[int, Transition]], rng: random.Random, made: Prediction) -> None:
    move = rng.choice(("start", "complete", "reopen"))
    extra = Transition(rng.choice(made.task.steps).id, move)  # type: ignore[arg-type]
    moves.append((rng.randrange(made.stop_frame), extra))


def delay(moves: list[tuple[int, Transition]], rng: random.Random, made: Prediction) -> None:
    index = rng.randrange(len(moves))
    frame, transition = moves[index]
    moves[index] = (min(frame + rng.randrange(1, 60), made.stop_frame - 1), transition)


def swap(moves: list[tuple[int, Transition]], rng: random.Random, made: Prediction) -> None:
    left, right = rng.sample(range(len(moves)), 2)
    (first, one), (second, two) = moves[left], moves[right]
    moves[left], moves[right] = (first, two), (second, one)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 1000),
    st.lists(st.sampled_from([remove, add, delay, swap]), min_size=1, max_size=4),
)
def test_no_change_of_the_perfect_prediction_raises_a_score(seed: int, changes: list) -> None:
    rng = random.Random(seed)
    made = eventful(seed)
    perfect = pooled(made)
    moves = [(item.frame, t) for item in made.events for t in item.transitions]
    for change in changes:
        change(moves, rng, made)
    spoken = {item.frame: item.speech for item in made.events if item.speech is not None}
    frames = sorted({frame for frame, _ in moves} | spoken.keys())
    events = tuple(
        Event(frame, tuple(t for f, t in moves if f == frame), spoken.get(frame))
        for frame in frames
    )
    changed = pooled(replace(made, events=events))
    for name, metric in METRICS.items():
        before, after = perfect[name], changed[name]
        if before != before or after != after:
            continue  # does not exist
        if metric.higher_is_better:
            assert after <= before + 1e-12, name
        elif metric.higher_is_better is False:
            assert after >= before - 1e-12, name
        elif metric.best is not None:  # delays and rates: the farther from best the worse
            assert abs(after - metric.best) >= abs(before - metric.best) - 1e-12, name


def test_order_in_the_file_does_not_matter() -> None:
    rng = random.Random(0)
    names = ("periodic", "schedule")
    made = [BASELINES[name](item, TRAINING) for name in names for item in STREAMS]
    shuffled = [
        replace(
            item,
            events=tuple(rng.sample(item.events, len(item.events))),
            references=tuple(rng.sample(item.references, len(item.references))),
        )
        for item in made
    ]
    found = score([*reversed(shuffled)], embed=embed)
    assert found["systems"] == score(made, embed=embed)["systems"]


def test_groups_main_system_and_differences() -> None:
    made = [replace(item, events=item.references[1:], system="ours") for item in STREAMS]
    told = [replace(item, fed="reference_state") for item in made]
    silent = [BASELINES["silent"](item, TRAINING) for item in STREAMS]
    found = score([*silent, *told, *made], embed=embed)
    assert list(found["systems"]) == ["ours", "silent", "ours [reference_state]"]
    assert found["about"]["main"] == "ours"
    groups = found["systems"]["ours"]["groups"]
    assert set(groups) == {
        *("pooled", "macro", "dataset:holoassist", "dataset:wtag", "task:seen", "task:unseen"),
        *("user_type:no_talk", "user_type:talk_some", "user_type:talk_more"),
        "order:other",
    }
    assert groups["order:other"]["cider"]["n"] == len(STREAMS)
    assert found["transition_f1_5s"] == groups["pooled"]["transition_f1_5s"]["value"]
    name = "transition_recall_5s"
    names = ("dataset:holoassist", "dataset:wtag")
    mean = sum(groups[group][name]["value"] for group in names) / 2
    assert groups["macro"][name]["value"] == pytest.approx(mean)
    difference = found["differences"]["ours - silent"][name]
    assert difference["value"] == groups["pooled"][name]["value"]
    assert 0 < difference["low"] <= difference["value"] <= difference["high"]
    assert found["differences"]["ours - ours [reference_state]"][name]["value"] == 0
    assert groups["pooled"]["start_accuracy_told"]["value"] is None
    headline = {key for key, value in found.items() if not isinstance(value, (dict, list))}
    assert headline == set(HEADLINE)


def test_streams_that_follow_the_list_are_a_group() -> None:
    references = (event(10, "S1->start"), event(30, "S1->complete S3->start"))
    found = score([stream(references)], embed=embed)["systems"]["model"]["groups"]
    assert {name for name in found if name.startswith("order")} == {"order:listed"}
    lone = score([stream(references[:1])], embed=embed)["systems"]["model"]["groups"]
    assert not any(name.startswith("order") for name in lone)


def test_both_modes_stand_there_where_they_differ() -> None:
    made = [BASELINES[name](item, TRAINING) for name in ("oracle", "silent") for item in STREAMS]
    strict, theirs = score(made, embed=embed), score(made, "proassist", embed=embed)
    assert theirs["speech_f1"] < 1
    for name in ("oracle", "silent"):
        ours, other = (found["systems"][name] for found in (strict, theirs))
        assert ours["other_mode"]["mode"] == "proassist"
        for metric, value in ours["other_mode"]["scores"].items():
            assert value == pytest.approx(other["groups"]["pooled"][metric]["value"]), metric
        for metric, value in other["other_mode"]["scores"].items():
            assert value == pytest.approx(ours["groups"]["pooled"][metric]["value"]), metric
    assert "speech_f1" in strict["systems"]["oracle"]["other_mode"]["scores"]
    # ProAssist calls the time difference of nobody 0
    absent = {"speech_semantic_score": 0.0, "speech_time_diff_s": 0.0}
    assert strict["systems"]["silent"]["other_mode"]["scores"] == absent
    alone = replace(GOOD, stop_frame=1, references=(event(0, "", "Go."),))
    alone = replace(alone, events=alone.references)
    (found,) = score([alone], embed=embed)["systems"].values()
    assert "finds no assignment" in found["other_mode"]["error"]


def test_streams_have_their_own_scores() -> None:
    made = [replace(item, events=item.references[1::2], system="ours") for item in STREAMS]
    made += [BASELINES["silent"](item, TRAINING) for item in STREAMS]
    found = score(made, embed=embed)["systems"]
    assert "streams" not in found["silent"]
    assert len(found["ours"]["streams"]) == len(STREAMS)
    by_id = {item["dialogue_id"]: item for item in found["ours"]["streams"]}
    of_all = ("cider", "cider_w")  # rare is what is rare in all streams
    for item in made[:3]:
        one = by_id[item.dialogue_id]
        assert (one["dataset"], one["start_frame"]) == (item.dataset, 0)
        alone = {name: value for name, value in pooled(item).items() if value == value}
        assert one["scores"].keys() == alone.keys()
        for name in alone.keys() - set(of_all):
            assert one["scores"][name] == pytest.approx(alone[name]), name


def test_pieces_of_a_dialogue_are_streams_of_their_own() -> None:
    later = replace(GOOD, start_frame=100, stop_frame=200, references=(), events=())
    assert score([GOOD, later], embed=embed)["about"]["num_streams"] == 2
    with pytest.raises(DataError, match="model predicts v1/no_talk-0 of toy twice"):
        score([GOOD, replace(later, start_frame=99)], embed=embed)


GOOD = stream((event(10, "S1->start", "Go."),), (event(12, "S1->start", "Go."),))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (replace(GOOD, fps=0.0), "fps is 0.0"),
        (replace(GOOD, stop_frame=0), r"frames \[0, 0\) are no stream"),
        (replace(GOOD, events=(event(100, "", "a"),)), r"events: frame 100 is outside \[0, 100\)"),
        (replace(GOOD, events=(event(5), event(5))), "events: two events at frame 5"),
        (replace(GOOD, speak_prob=(0.5,)), "1 values of speak_prob for 100 frames"),
        (
            replace(GOOD, update_prob=(0.5,) * 7 + (float("nan"),) * 93),
            "frame 7: update_prob is nan",
        ),
        (replace(GOOD, refreshes=(100,)), "refresh at frame 100"),
        (replace(GOOD, events=(event(5, "S9->start"),)), "frame 5: S9->start is of no step"),
        (
            replace(GOOD, references=(event(5, "S1->complete"),)),
            "reference at frame 5: S1->complete",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused(bad: Prediction, message: str) -> None:
    with pytest.raises(DataError, match=f"v1/no_talk-0 by model.*{message}"):
        score([bad], embed=embed)


def test_systems_must_be_comparable() -> None:
    other = replace(GOOD, system="other")
    with pytest.raises(DataError, match="no predictions"):
        score([], embed=embed)
    with pytest.raises(DataError, match="model predicts v1/no_talk-0 of toy twice"):
        score([GOOD, GOOD], embed=embed)
    with pytest.raises(DataError, match=r"model has 1 streams and other 1; .* only in"):
        score([GOOD, replace(other, dialogue_id="v2/no_talk-0")], embed=embed)
    with pytest.raises(DataError, match="model and other differ in video, fps"):
        score([GOOD, replace(other, references=())], embed=embed)


def test_docs_define_every_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = {name for code in re.findall(r"`([^`\n]+)`", page) for name in expand(code)}
    assert set(METRICS) - documented == set()


def expand(code: str) -> list[str]:
    """``a_{b,c}`` -> ``a_b``, ``a_c``."""
    braces = re.search(r"\{([^{}]*)\}", code)
    if braces is None:
        return [code]
    return [
        name
        for choice in braces.group(1).split(",")
        for name in expand(code[: braces.start()] + choice + code[braces.end() :])
    ]


def test_meteor_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[tuple[str, str]]] = []

    def fake(lists: list[list[tuple[str, str]]]) -> list[float | None]:
        asked.extend(lists)
        return [0.5, None]

    monkeypatch.setattr("prospect.metrics.nlg.meteor", fake)
    made = [BASELINES[name](GOOD, TRAINING) for name in ("oracle", "silent")]
    found = score(made, embed=embed, meteor=True)["systems"]
    assert asked == [[("Go.", "Go.")], []]
    assert found["oracle"]["groups"]["pooled"]["meteor"]["value"] == 0.5
    assert found["oracle"]["groups"]["pooled"]["meteor_w"]["value"] == 0.5
    assert found["silent"]["groups"]["pooled"]["meteor"]["value"] is None
