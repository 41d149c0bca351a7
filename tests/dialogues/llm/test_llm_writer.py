"""The writer against tables of replies: whole dialogues, retries, drops, batches."""

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from prospect.dialogues.llm import PROMPTS_HASH, llm_writer, prompts, writer_name
from prospect.errors import ConfigError
from prospect.llm import Pending, Reply, Request
from prospect.types import Action, Annotation, Dialogue, Step, Task
from tests.dialogues.llm import real
from tests.dialogues.llm.table import FEW, GOOD, Table, tea, write


def test_a_whole_dialogue() -> None:
    dialogue, table = write({})
    assert isinstance(dialogue, Dialogue)
    assert (dialogue.dialogue_id, dialogue.writer) == ("v1/talk_some-0", writer_name("m"))
    assert writer_name("m") == f"llm:m@prompts-{PROMPTS_HASH}"
    assert dialogue.task == Task(
        "Brew tea", (Step("S1", "Boil water."), Step("S2", "Pour it over the leaves."))
    )
    assert [(turn.role, turn.time_s, turn.labels) for turn in dialogue.turns] == [
        ("user", 2.0, ""),
        ("assistant", 2.1, "responsive|instruction,feedback"),
        ("assistant", 8.0, "initiative|info_sharing"),
        ("assistant", 10.0, "initiative|instruction"),
        ("assistant", 15.0, "initiative|feedback"),
    ]
    assert dialogue.turns[0].summary is None
    assert dialogue.turns[1].summary == (
        "The time elapsed since the start of the task is 1.1 seconds. " + str(GOOD["summarize"])
    )
    assert Counter(stage for stage, _ in table.asked) == {
        "filter": 3, "infer": 2, "choose": 1, "draft 1": 1, "refine 1": 1, "draft 2": 1,
        "refine 2": 1, "summarize": 4,
    }  # fmt: skip
    assert write({}) == (dialogue, table)


def test_prompts_hold_what_a_stage_needs_and_no_more() -> None:
    _, table = write({})
    asked = {stage: request.messages[1].text for stage, request in reversed(table.asked)}
    assert "[15.0s-18.0s] stir" in asked["infer"]
    assert 'calls it "Tea."' in asked["infer"]
    assert "Version 2:\nTea\n1. Boil water." in asked["choose"]
    assert "from 1.0s to 10.0s" in asked["draft 1"]
    assert "about 2.0s" in asked["draft 1"]
    assert "2. Pour it over the leaves." in asked["draft 1"]
    assert prompts.USERS["talk_some"] in asked["draft 1"]
    assert "[8.0s] Assistant: It boils." in asked["draft 2"]
    assert "[10.0s] Assistant: Pour it." in asked["refine 2"]
    assert "pour" not in asked["summarize"].partition("Seen so far")[2]  # of the turn at 2.1 s
    assert all("everyday task" in request.messages[0].text for _, request in table.asked)


def test_seeds_take_other_samples_of_the_dialogue_and_the_same_of_the_video() -> None:
    samples = []
    for seed in (0, 1):
        _, table = write({}, seed=seed)
        samples.append({(stage, request.sample) for stage, request in table.asked})
    assert {stage for stage, _ in samples[0] & samples[1]} == {"filter", "infer", "choose"}
    assert ("draft 1", 1000) in samples[1]


def test_settings_reach_the_request() -> None:
    config = replace(FEW, max_tokens=99, temperature=None)
    _, table = write({}, config=config)
    assert {(request.max_tokens, request.temperature) for _, request in table.asked} == {(99, None)}


def test_known_steps_are_taken_as_they_are() -> None:
    steps = (Step("S1", "Boil water"), Step("S2", "Pour"))
    given_task = replace(tea(), dataset="wtag", task=Task("Tea.", steps))
    dialogue, table = write({}, given_task)
    assert isinstance(dialogue, Dialogue)
    assert dialogue.task == given_task.task
    assert table.count("infer") == 0
    dialogue, table = write({}, replace(given_task, dataset="assembly101"))
    assert isinstance(dialogue, Dialogue)
    assert dialogue.task.goal == "Brew tea"


@pytest.mark.parametrize(
    ("votes", "reason"),
    [
        (["no_goal", "suitable", "no_goal"], "video filter: no_goal"),
        (["no_goal", "suitable", "too_vague"], "video filter: no majority"),
        (["no_goal", "suitable", "suitable"], None),
    ],
)
def test_the_majority_decides_on_the_video(votes: list[str], reason: str | None) -> None:
    written, table = write({"filter": [f"ANSWER: {vote}" for vote in votes]})
    assert written == reason if reason else isinstance(written, Dialogue)
    assert table.count("infer") == (0 if reason else 2)


def test_a_vote_that_cannot_be_read_is_asked_again() -> None:
    written, table = write({"filter": ["Hm.", "ANSWER: suitable"]})
    assert isinstance(written, Dialogue)
    samples = [request.sample for stage, request in table.asked if stage == "filter"]
    assert samples == [0, 3, 1, 2]  # the first voter's second try is no other voter's
    assert write({"filter": "Hm."})[0] == "video filter: unreadable"
    assert write({"filter": "Hm."}, config=replace(FEW, filter_samples=0))[1].count("filter") == 0


FAULTS: list[tuple[str, str, str]] = [
    ("infer", "Tea, of course.", "knowledge: no numbered steps"),
    ("choose", GOOD["choose"] + "\n\nHope this helps!", "knowledge: text among or after the steps"),
    ("draft 1", "", "draft: empty"),
    ("draft 1", "I can't help with that.", "draft: text before the turns"),
    ("draft 1", GOOD["draft 1"].replace("User", "Assistant"), "draft: the user does not begin"),
    ("draft 1", "[2.0s] User: I want tea.", "draft: nothing said by the assistant"),
    ("draft 1", GOOD["draft 1"].replace("[8.0s]", "[1.9s]"), "draft: times not in order"),
    ("draft 1", GOOD["draft 1"].replace("[8.0s]", "[10.2s]"), "draft: times outside the window"),
    ("draft 2", GOOD["draft 2"].replace("[10.0s]", "[9.8s]"), "draft: times outside the window"),
    ("draft 2", GOOD["draft 2"].replace("[15.0s]", "[99.0s]"), "draft: times outside the window"),
    ("refine 1", GOOD["refine 1"].replace("[2.0s] User: I want tea.\n", ""),
     "refined: the user does not begin"),
    ("refine 2", "[10.0s] User: So?\n" + GOOD["refine 2"], "refined: user turns added"),
    ("refine 2", GOOD["refine 2"] + "\n\nNote that I merged some turns.",
     "refined: closing remark"),
    ("refine 2", GOOD["refine 2"].replace("feedback]", "praise]"), "refined: unknown label"),
    ("refine 2", GOOD["refine 2"].replace(" [initiative|feedback]", ""),
     "refined: assistant turn without labels"),
    ("refine 2", "[10.0s] Assistant: It boils! [initiative|other]\n" + GOOD["refine 2"],
     "refined: begins with what was said before"),
    ("refine 2", "\n".join(f"[1{n}.0s] Assistant: Flip it{n % 2 * '!'} [initiative|instruction]"
                           for n in range(3)), "refined: the same said many times"),
    ("summarize", "Task goal", "summary: not a whole sentence"),
    ("summarize", "", "summary: empty"),
]  # fmt: skip


@pytest.mark.parametrize(("stage", "bad", "reason"), FAULTS)
def test_a_fault_is_retried_then_dropped(stage: str, bad: str, reason: str) -> None:
    better, table = write({stage: [bad, GOOD[stage]]})
    good, plain = write({})
    assert better == good
    assert table.count(stage) == plain.count(stage) + 1
    samples = [request.sample for name, request in table.asked if name == stage]
    assert samples[0] != samples[1]
    dropped, table = write({stage: bad})
    assert dropped == reason
    askers = {"infer": 2, "summarize": 4}.get(stage, 1)
    assert table.count(stage) == askers * FEW.max_tries


def test_dropped_user_turns_are_noticed() -> None:
    draft = "[10.0s] User: Now what?\n[10.1s] Assistant: Pour it.\n[15.0s] Assistant: Well done."
    assert write({"draft 2": draft})[0] == "refined: user turns dropped"


def test_a_silent_user_only_tells_the_goal() -> None:
    assert isinstance(write({}, user_type="no_talk")[0], Dialogue)
    draft = "[10.0s] User: Now what?\n[10.1s] Assistant: Pour it."
    assert write({"draft 2": draft}, user_type="no_talk")[0] == "draft: a silent user talks"


def test_times_are_rounded_into_the_video() -> None:
    """Prompts show 2.04 as 2.0 and 19.96 as 20.0; such turns are in the video."""
    short = replace(tea(), start_s=2.04, duration_s=19.96)
    last = GOOD["refine 2"].replace("15.0s", "20.0s")
    dialogue, _ = write({"refine 2": last}, short)
    assert isinstance(dialogue, Dialogue)
    assert [dialogue.turns[0].time_s, dialogue.turns[-1].time_s] == [2.04, 19.96]


def test_turns_that_find_no_room_before_the_end_drop_the_dialogue() -> None:
    last = "[19.9s] Assistant: Pour. [initiative|other]\n[19.9s] Assistant: Ho. [initiative|other]"
    assert write({"refine 2": last})[0] == "no room for the last turns"


def test_what_cannot_be_written() -> None:
    assert write({}, replace(tea(), actions=()))[0] == "nothing described"
    assert write({}, replace(tea(), start_s=20.0))[0] == "nothing described"
    with pytest.raises(ConfigError, match="no user 'human'"):
        write({}, user_type="human")
    with pytest.raises(ConfigError, match="seed is -1"):
        write({}, seed=-1)


@pytest.mark.parametrize("setting", ["max_tries", "knowledge_samples", "window_lines"])
def test_settings_are_checked(setting: str) -> None:
    with pytest.raises(ConfigError, match=f"{setting} is 0"):
        replace(FEW, **{setting: 0})
    with pytest.raises(ConfigError, match="max_tries is 1000"):
        replace(FEW, max_tries=1000)


def test_a_batch_collects_all_that_can_be_asked_at_once() -> None:
    """Each round answers what was asked in the rounds before: eight rounds for 14 requests."""
    table = Table(dict(GOOD))
    asked: list[Request] = []
    answered = 0

    def ask(request: Request) -> Reply:
        if request in asked[:answered]:
            return table(request)
        asked.append(request)
        raise Pending("later")

    write_one = llm_writer(ask, FEW, "m")
    for collected in (3, 2, 1, 1, 1, 1, 1, 4):
        with pytest.raises(Pending):
            write_one(tea(), "talk_some", 0)
        assert len(asked) == answered + collected
        answered = len(asked)
    assert write_one(tea(), "talk_some", 0) == write({})[0]


def _described(data_dir: Path, name: str) -> tuple[Annotation, list[dict[str, object]]]:
    """ProAssist's record as an annotation of plain actions, and its finished dialogue."""
    path = data_dir / "proassist-samples" / "generated_dialogs" / f"{name}.json"
    if not path.exists():
        pytest.skip(f"no file {path}")
    record = json.loads(path.read_text(encoding="utf-8"))[0]
    parsed = record["parsed_video_anns"]
    lines = re.findall(r"\[([\d.]+)s-([\d.]+)s\] (.*)", parsed["all_step_descriptions"])
    actions = tuple(Action(float(a), float(b), text, "action") for a, b, text in lines)
    annotation = replace(
        tea(), actions=actions, duration_s=actions[-1].end_s, start_s=parsed["video_start_time"]
    )
    return annotation, record["conversations"][0]["conversation"]


def test_real_replies_become_proassists_own_dialogue(data_dir: Path) -> None:
    """Assembly101's log: three of four refined replies close with a remark, so they are retried."""
    annotation, finished = _described(data_dir, "assembly101")
    log = data_dir / "proassist-samples" / "generation_logs" / "assembly101.log"
    drafts, refined = real.replies(log, "before"), real.replies(log, "after")
    opened = ("212.7", "369.6", "497.2", "576.5")
    tried: Counter[str] = Counter()

    def ask(request: Request) -> Reply:
        asked = request.messages[1].text
        stage = Table({}).stage(asked)
        text = GOOD.get(stage, "")
        if stage in ("infer", "choose"):
            text = real.knowledge(log)
        elif stage.startswith("draft"):
            text = drafts[[f"from {at}s" in asked for at in opened].index(True)]
        elif stage.startswith("refine"):
            part = asked.partition("The part to edit:\n")[2][:8]
            text = refined[[draft.startswith(part) for draft in drafts].index(True)]
            tried[part] += 1
            if tried[part] > 1:
                text = text.partition("Note: ")[0]
        return Reply(text, "stop", "m", 1, 1, 0.0)

    config = replace(FEW, window_lines=7)
    dialogue = llm_writer(ask, config, "m")(annotation, "talk_some", 0)
    assert isinstance(dialogue, Dialogue)
    assert sorted(tried.values()) == [1, 2, 2, 2]
    assert (dialogue.task.goal, len(dialogue.task.steps)) == ("Assembling a Toy Vehicle", 8)
    assert [(turn.role, turn.time_s, turn.text, turn.labels) for turn in dialogue.turns] == [
        (turn["role"], turn["time"], turn["content"], turn["labels"]) for turn in finished
    ]
