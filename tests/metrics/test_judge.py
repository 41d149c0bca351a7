"""Replies of a judge: what is read, what is dropped, and what is made of them."""

from dataclasses import replace

import pytest

from prospect.metrics.judge import (
    ASPECTS,
    Judged,
    Unread,
    dialogue_turns,
    read_scores,
    runs_matrix,
    stream_scores,
    summarize,
)
from prospect.types import Event, Turn
from tests.metrics.worlds import event, stream

PLAIN = "correctness: 3\npromptness: 2\nefficiency: 1\noverall: 2"
WANTED = {"correctness": 3.0, "promptness": 2.0, "efficiency": 1.0, "overall": 2.0}
READ = {
    "plain": PLAIN,
    "reasons first": f"It is often late. Overall, 3 of 5 steps are named.\n\n{PLAIN}\n",
    "upper case and bold": "**Correctness:** 3\n**Promptness**: 2\n**Efficiency:** **1**\n"
    "**Overall:** 2",
    "of five": "Correctness: 3/5\nPromptness: 2 / 5\nEfficiency: 1 out of 5\nOverall: 2.0/5",
    "bullets": "- Correctness: 3\n* Promptness: 2\n• Efficiency: 1\n- *Overall*: 2",
    "numbered": "1. Correctness: 3\n2. Promptness: 2\n3) Efficiency = 1\n(4) Overall - 2",
    "headings": "### Correctness Score: 3\n### Promptness rating: 2\nEfficiency (1-5): 1\n"
    "Overall quality: 2.",
    "with reasons": "Correctness: 3 (mostly right)\nPromptness: 2 - often 10 s late\n"
    "Efficiency: 1. It repeats itself.\nOverall: 2, since it is late",
    "one line": "Correctness: 3, Promptness: 2, Efficiency: 1, Overall: 2",
    "json": '{"correctness": 3, "promptness": 2, "efficiency": 1, "overall": 2}',
    "fenced json": '```json\n{\n  "correctness": 3,\n  "promptness": "2",\n  "efficiency": 1,\n'
    '  "overall": 2\n}\n```',
    "table": "| Aspect | Score |\n|---|---|\n| Correctness | 3 |\n| Promptness | 2 |\n"
    "| Efficiency | 1 |\n| Overall | 2 |",
    "explained, then scored": "Correctness: the steps are right.\nOverall: a poor help.\n" + PLAIN,
    "said twice": PLAIN + "\n\nFinal scores:\n" + PLAIN,
    "thoughts": "<think>correctness: 5? No, lower.\ncorrectness: 4</think>\n" + PLAIN,
    "brackets": PLAIN.replace(": 3", ": [3]").replace(": 1", ": `1`"),
}
DROPPED = {
    "": "no scores",
    "The assistant is good.": "no scores",
    PLAIN.replace("3", "three"): "a score is missing",
    PLAIN.replace("3", "3-4"): "a score is missing",
    PLAIN.replace("3", "3 - 4"): "a score is missing",
    PLAIN.replace("3", "7/10"): "a score is missing",
    PLAIN.replace("3", "4/50"): "a score is missing",
    PLAIN.replace("3", "60%"): "a score is missing",
    PLAIN.replace("3", "3 of the steps"): "a score is missing",
    PLAIN.replace("overall: 2", ""): "a score is missing",
    PLAIN.replace("3", "0"): "a score outside 1 to 5",
    PLAIN.replace("3", "5.5"): "a score outside 1 to 5",
    PLAIN.replace("3", "35"): "a score outside 1 to 5",
    PLAIN + "\noverall: 3": "two different scores for one aspect",
    "| Correctness | Promptness | Efficiency | Overall |\n|---|---|---|---|\n| 3 | 2 | 1 | 2 |": (
        "no scores"
    ),
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_habits_of_models_are_read_as_meant(text: str) -> None:
    assert read_scores(text) == WANTED


@pytest.mark.parametrize(("text", "why"), DROPPED.items())
def test_nothing_is_guessed(text: str, why: str) -> None:
    assert read_scores(text) == Unread(why)


def test_fractions_are_scores() -> None:
    """The real runs' means hold values like 3.2 and 1.93, which whole numbers can't give."""
    assert read_scores(PLAIN.replace("3", "3.2")) == {**WANTED, "correctness": 3.2}


def test_a_dialogue_as_it_is_read() -> None:
    references = (
        Event(3, speech="Take the bowl.", user="What now?"),
        event(9, "S1->start", "Good."),
        Event(12, user="Thanks."),
    )
    made = stream(references, (event(3, "", "Yes."), event(5, "S1->start")))
    assert dialogue_turns(made, made.events) == (
        Turn("assistant", 2.0, "Yes."),
        Turn("user", 2.0, "What now?"),
        Turn("user", 6.5, "Thanks."),
    )
    assert [turn.text for turn in dialogue_turns(made, made.references)] == [
        "Take the bowl.", "What now?", "Good.", "Thanks.",
    ]  # fmt: skip


def judged(video: int, *values: float | str, dataset: str = "wtag") -> Judged:
    """A stream with one value for all aspects in each run, or the reason why there is none."""
    one = replace(
        stream((event(5, "", "Go on."),)),
        dataset=dataset,
        video_id=f"v{video}",
        dialogue_id=f"v{video}/no_talk-0",
    )
    runs = (
        Unread(value) if isinstance(value, str) else dict.fromkeys(ASPECTS, value)
        for value in values
    )
    return Judged(one, tuple(runs))


def test_pooled_by_hand() -> None:
    """Streams of 2 (mean of 1, 3), 4 (of 4; one reply unread) and none; the other has 1, 1, 5."""
    ours = [judged(1, 1, 3), judged(2, 4, "empty"), judged(3, "empty", "no scores")]
    theirs = [judged(1, 1, 1), judged(2, 1, 1), judged(3, 5, 5)]
    found = summarize({"model": ours, "other": theirs}, "model")
    model = found["systems"]["model"]
    overall = model["groups"]["pooled"]["overall"]
    assert overall["value"] == 3.0
    assert overall["low"] == 2.0
    assert overall["high"] == 4.0
    assert model["groups"]["dataset:wtag"] == model["groups"]["pooled"]
    assert model["replies"] == {
        "read": 3, "dropped": {"empty": 2, "no scores": 1}, "streams_without_scores": 1,
    }  # fmt: skip
    assert [row["scores"]["overall"] for row in model["streams"]] == [2.0, 4.0, None]
    assert model["streams"][1]["runs"] == [dict.fromkeys(ASPECTS, 4), "empty"]
    # both runs were read of the first stream alone, where they are 2 apart
    agreed = model["agreement"]["overall"]
    assert (agreed["mean_abs_difference"], agreed["num_units"]) == (2.0, 1)
    # the third stream has no score of the model, so says nothing of the difference
    assert found["differences"]["model - other"]["overall"]["value"] == 2.0
    assert stream_scores(ours[2]) is None
    assert runs_matrix(ours, "overall").shape == (2, 3)


def test_nothing_read_at_all() -> None:
    found = summarize({"a": [judged(1, "empty")], "b": [judged(1, 3.0)]}, "a")
    assert found["systems"]["a"]["groups"]["pooled"]["overall"]["value"] is None
    assert found["differences"]["a - b"] == dict.fromkeys(ASPECTS)
