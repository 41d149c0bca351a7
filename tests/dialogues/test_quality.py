"""ProAssist's score against hand-worked numbers and a plain reading of its rule; what is kept."""

import json
import math
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.dialogues.quality import (
    RATIOS,
    Moments,
    Rules,
    annotated_moments,
    filtered,
    proassist_moments,
    quality,
    scored,
)
from prospect.errors import ConfigError, DataError
from prospect.types import (
    Action,
    Annotation,
    Dialogue,
    Split,
    StateTrack,
    Step,
    Task,
    Turn,
    UserType,
)

TASK = Task("Build it.", (Step("S1", "Attach the wheel."), Step("S2", "Attach the roof.")))


def asked(time_s: float, text: str = "And now?") -> Turn:
    return Turn("user", time_s, text)


def said(time_s: float, text: str = "Attach the wheel.") -> Turn:
    return Turn("assistant", time_s, text, "initiative|instruction")


def dialogue(
    name: str,
    score: float | None,
    split: Split = "train",
    user_type: UserType = "no_talk",
    video_id: str = "v",
    turns: tuple[Turn, ...] = (asked(1.0), said(1.5)),
) -> Dialogue:
    return Dialogue(
        name, video_id, "d", split, user_type, "w", TASK, "b", 60.0, turns, quality=score
    )


TRACKS = {name: StateTrack(name, TASK, ()) for name in "vwx"}


def test_the_score_by_hand() -> None:
    moments = Moments((10.0, 20.0), (10.0, 18.0, 20.0, 30.0))
    turns = [asked(9.0), said(12.0), asked(20.5), said(22.0), asked(31.0)]
    found = quality(turns, moments)
    # turns to times: 1, 2, .5, 2, 1; starts to turns: 1, .5; 9 s is answered 3 s later, 20.5 s in
    # time, and the last one needs no answer
    assert found is not None
    assert found.avg_time_diff_p == pytest.approx(6.5 / 5)
    assert found.avg_time_diff_r == pytest.approx(0.75)
    assert found.no_resp_penalty == pytest.approx(0.1)
    assert found.final_score == pytest.approx(10 - 1.3 - 0.75 - 0.1)


def test_only_the_next_turn_of_the_assistant_answers() -> None:
    moments = Moments((0.0,), (0.0, 1.0))
    for turns, penalty in (
        ([asked(1.0), said(3.0)], 0.0),
        ([asked(1.0), said(3.1)], 0.1),
        ([asked(1.0), asked(1.2), said(1.5)], 0.1),
        ([asked(1.0, "Done."), said(9.0)], 0.0),
        ([asked(1.0)], 0.0),
    ):
        found = quality(turns, moments)
        assert found is not None
        assert found.no_resp_penalty == pytest.approx(penalty)


def test_nothing_to_compare_is_no_score() -> None:
    assert quality([], Moments((1.0,), (1.0, 2.0))) is None
    assert quality([said(1.0)], Moments((), ())) is None
    empty = Annotation("v", "d", "val", TASK, "b", 60.0, ())
    assert scored(dialogue("a", 1.0), empty).quality is None


TIMES = st.lists(st.floats(0, 500).map(lambda value: round(value, 1)), min_size=1, max_size=12)


@settings(max_examples=200, deadline=None)
@given(TIMES, TIMES, st.lists(st.sampled_from(["user", "assistant"]), min_size=12, max_size=12))
def test_the_score_is_what_its_rule_says(
    spoken: list[float], starts: list[float], roles: list[Any]
) -> None:
    turns = [
        Turn(role, time_s, "Right?") for role, time_s in zip(roles, sorted(spoken), strict=False)
    ]
    ends = [start + 7.3 for start in starts]
    found = quality(turns, Moments(tuple(starts), (*starts, *ends)))
    near = [min(abs(turn.time_s - t) for t in starts + ends) for turn in turns]
    far = [min(abs(start - turn.time_s) for turn in turns) for start in starts]
    ignored = 0
    for index, turn in enumerate(turns[:-1]):
        after = turns[index + 1]
        if turn.role == "user" and not (
            after.role == "assistant" and after.time_s - turn.time_s <= 2
        ):
            ignored += 1
    expected = 10 - (sum(near) / len(near) + sum(far) / len(far) + 0.1 * ignored)
    assert found is not None
    assert found.final_score == pytest.approx(expected)
    assert found.final_score <= 10


def test_moments_of_an_annotation() -> None:
    actions = (
        Action(1.04, 5.06, "attach wheel", "step", "S1"),
        Action(2.0, 3.0, "grab wheel", "action", "S1"),
        Action(6.0, 7.0, "scratch head", "action"),
        Action(8.0, 9.0, "wait", "pause"),
    )
    given = Annotation("v", "d", "val", TASK, "b", 60.0, actions, (said(4.0),))
    assert annotated_moments(given) == Moments((1.0, 2.0), (1.0, 5.1, 2.0, 3.0))
    assert annotated_moments(given, "proassist").starts_s == (1.0, 2.0, 6.0, 4.0)
    stepless = replace(given, task=Task("Cook.", ()), actions=(replace(actions[2]),))
    assert annotated_moments(stepless) == Moments((6.0,), (6.0, 7.0))


def goalstep(step: str | None, substep: str) -> dict[str, Any]:
    inner = {"start_time": 11.0, "end_time": 12.0, "is_relevant": substep, "segments": []}
    outer: dict[str, Any] = {"start_time": 10.04, "end_time": 20.0, "segments": [inner]}
    if step is not None:
        outer["is_relevant"] = step
    return {"dataset": "ego4d-goalstep", "original_ann": {"segments": [outer]}}


def test_a_substep_needs_its_own_relevance_unless_the_fault_is_repeated() -> None:
    beside = goalstep("essential", "irrelevant")
    assert proassist_moments(beside, "strict") == Moments((10.0,), (10.0, 20.0))
    assert proassist_moments(beside, "proassist") == Moments((10.0, 11.0), (10.0, 20.0, 11.0, 12.0))
    both = goalstep("essential", "essential")
    assert proassist_moments(both, "strict") == proassist_moments(both, "proassist")
    for step in (None, "optional", "irrelevant"):
        assert proassist_moments(goalstep(step, "essential")) == Moments((), ())


def test_printed_steps_are_read_by_their_brackets() -> None:
    text = '[1.0s-2.5s] cut\n - [1.2s] take knife\n - [3s] assistant: "[laughs] Go - on."\n5s-6s no'
    parsed = {"dataset": "wtag", "all_step_descriptions": text}
    assert proassist_moments(parsed) == Moments((1.0, 1.2, 3.0), (1.0, 2.5, 1.2, 1.2, 3.0, 3.0))
    with pytest.raises(DataError, match="video x: the parsed annotation has no field 'all_step"):
        proassist_moments({"dataset": "wtag", "video_uid": "x"})


def plain_score(record: dict[str, Any], turns: list[dict[str, Any]]) -> float:
    """ProAssist's score the long way, faults included."""
    starts, times = [], []
    if record["dataset"] == "ego4d-goalstep":
        for step in record["original_ann"]["segments"]:
            if step["is_relevant"] == "essential":
                for span in [step, *step["segments"]]:
                    starts.append(float(f"{span['start_time']:.1f}"))
                    times += [starts[-1], float(f"{span['end_time']:.1f}")]
    else:
        for inside in re.findall(r"\[([^\]]*)\]", record["all_step_descriptions"]):
            parts = inside.split("-")
            if all(re.fullmatch(r"[\d.]+s", part) for part in parts):
                starts.append(float(parts[0][:-1]))
                times += [float(part[:-1]) for part in parts]
    near = sum(min(abs(t - turn["time"]) for t in times) for turn in turns) / len(turns)
    far = sum(min(abs(t - turn["time"]) for turn in turns) for t in starts) / len(starts)
    ignored = 0
    for turn, after in pairwise(turns):
        late = after["role"] != "assistant" or after["time"] - turn["time"] > 2
        ignored += turn["role"] == "user" and turn["content"].endswith("?") and late
    return 10 - near - far - 0.1 * ignored


def test_real_dialogues_score_as_their_pipeline_scores_them(data_dir: Path) -> None:
    folder = data_dir / "proassist-samples" / "generated_dialogs"
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}")
    compared = 0
    for path in sorted(folder.glob("*.json")):
        for record in json.loads(path.read_text(encoding="utf-8")):
            parsed = record["parsed_video_anns"]
            for one in record["conversations"]:
                spoken = one["conversation"]
                turns = [Turn(turn["role"], turn["time"], turn["content"]) for turn in spoken]
                found = quality(turns, proassist_moments(parsed, "proassist"))
                assert found is not None
                stored = one.get("auto_quality_eval", {}).get("final_score")
                expected = plain_score(parsed, spoken) if stored is None else stored
                assert found.final_score == pytest.approx(expected, abs=1e-9)
                compared += 1
    assert compared > 0


def kept(
    dialogues: list[Dialogue], rules: Rules | None = None, mode: Any = "strict"
) -> tuple[list[str], dict[str, int]]:
    found, account, listed = filtered(dialogues, TRACKS, rules or Rules(), mode)
    assert account.kept == len(found)
    assert len(listed) == sum(account.dropped.values())
    return [one.dialogue_id for one in found], dict(account.dropped)


def test_a_share_keeps_the_best_and_the_fault_the_worst() -> None:
    scores = {"a": 4.0, "b": 9.0, "c": 3.0, "d": 7.0, "e": 2.9, "f": 3.5}
    ones = [dialogue(name, score) for name, score in scores.items()]
    half = Rules(ratios={"d": 0.5})
    short = {"score below 3 (train)": 1, "not in the share of 0.5 kept": 2}
    assert kept(ones, half) == (["a", "b", "d"], short)
    assert kept(ones, half, "proassist") == (["a", "c", "f"], short)
    assert kept(ones) == (["a", "b", "c", "d", "f"], {"score below 3 (train)": 1})
    assert kept([dialogue("a", 4.0)], half) == (["a"], {})  # rounded up: nobody loses the last one
    assert set(RATIOS.values()) == {0.5, 1.0, 2.0}


def test_copies_have_names_of_their_own() -> None:
    ones = [dialogue("a", 4.0), dialogue("b", 1.0), dialogue("c", 8.0, "val")]
    rules = Rules(ratios={"d": 3.0}, user_types=("no_talk",))
    assert kept(ones, rules)[0] == ["a", "a~2", "a~3", "c"]
    for ratio in (0.0, -1.0, 1.5, math.nan):
        with pytest.raises(ConfigError, match=f"ratio of d is {ratio}; a share in"):
            Rules(ratios={"d": ratio})


def test_videos_that_test_need_every_user_type_and_give_the_best() -> None:
    types: tuple[UserType, ...] = ("no_talk", "talk_some", "talk_more")
    ones = [dialogue(f"v/{kind}-{n}", 5.0 + n, "test", kind) for kind in types for n in (0, 1)]
    ones += [dialogue(f"w/{kind}", 5.0, "val", kind, "w") for kind in types[:2]]
    ones += [dialogue("w/more", 4.9, "val", "talk_more", "w"), dialogue("h", 9, "val", "human")]
    assert kept(ones) == (
        [f"v/{kind}-1" for kind in types],
        {
            "another of its user type is better": 3,
            "its video lacks a user type": 2,
            "score below 5 (val)": 1,
            "not of a user type asked for": 1,
        },
    )
    tied = [dialogue("a", 6.0, "val"), dialogue("b", 6.0, "val")]
    assert kept(tied, Rules(user_types=("no_talk",)))[0] == ["a"]


def test_faults_are_dropped_whatever_their_score() -> None:
    ones = [
        dialogue("a", 9.0, turns=(said(1.0, "Assistant: Attach the wheel."),)),
        dialogue("b", 9.0, turns=(asked(1.0),)),
        dialogue("c", None),
    ]
    assert kept(ones) == (
        [],
        {
            "a speaker left in the text": 1,
            "nothing said by an assistant": 1,
            "no score": 1,
        },
    )
    assert kept(ones, mode="proassist")[0] == ["a", "b"]
    with pytest.raises(DataError, match="q: video y has no states"):
        filtered([dialogue("q", 9.0, video_id="y")], TRACKS)
    assert filtered([], TRACKS)[0] == []
