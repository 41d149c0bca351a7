"""The dataset's own conversation as a dialogue."""

from pathlib import Path

import pytest

from prospect.annotations import read_dataset
from prospect.clock import place
from prospect.dialogues import WRITERS, human, label, write_dialogues
from prospect.errors import ConfigError
from prospect.types import Action, Annotation, Dialogue, Step, Task, Turn

TASK = Task("Build it.", (Step("S1", "Attach the wheel."), Step("S2", "Attach the roof.")))
SAID = (
    Turn("user", 1.0, "Hello."),
    Turn("assistant", 2.0, "Take the wheel.", "initiative|instruction"),
    Turn("user", 11.0, "This one?"),
    Turn("assistant", 12.0, "No.", "responsive|correction"),
)
VISITS = (Action(3.0, 20.0, "attach", "step", "S1"),)


def test_turns_are_kept_and_summed_up() -> None:
    given = Annotation("v", "d", "val", TASK, "b", 30.0, VISITS, SAID, start_s=1.0)
    dialogue = human.write(given, "human", 0)
    assert isinstance(dialogue, Dialogue)
    assert (dialogue.dialogue_id, dialogue.writer) == ("v/human-0", "human")
    assert [(t.role, t.time_s, t.text) for t in dialogue.turns] == [
        (t.role, t.time_s, t.text) for t in SAID
    ]
    assert [turn.summary is None for turn in dialogue.turns] == [True, False, True, False]
    assert dialogue.turns[3].summary == (
        "The time elapsed since the start of the task is 11.0 seconds. The user wants to build it. "
        "Completed: nothing yet. In progress: attach the wheel. One step to start. "
        'Pointed out one mistake: "No." The user last said: "This one?"'
    )


def test_where_nobody_assists_there_is_no_dialogue() -> None:
    silent = Annotation("v", "d", "val", TASK, "b", 30.0, VISITS, SAID[:1])
    dialogues, account = write_dialogues([silent], WRITERS["human"], ("human",), 0)
    assert dialogues == []
    assert account.dropped == {"nothing said by an assistant": 1}
    with pytest.raises(ConfigError, match="user type 'human', not 'no_talk'"):
        human.write(silent, "no_talk", 0)


def test_bundled_conversations_fit_on_frames() -> None:
    annotations = read_dataset("holoassist", Path("bundled")).annotations
    dialogues, account = write_dialogues(annotations, WRITERS["human"], ("human",), 0)
    assert account.kept == 12
    for given, dialogue in zip(annotations, dialogues, strict=True):
        events = place(dialogue.turns, label(given).transitions, 2.0, 0)
        assert len([event for event in events if event.speech]) == len(
            [turn for turn in given.conversation if turn.role == "assistant"]
        )
