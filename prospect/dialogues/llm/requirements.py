"""What the prompts say of each dataset, as data; an unknown dataset gets `DEFAULT`.

``domain`` and ``knowledge`` are ProAssist's (fields ``domain`` and ``knowedge_type`` of its
dialogue files), where it has the dataset.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Requirements:
    """What is special about the videos of a dataset.

    Attributes:
        domain: What kind of task people do.
        knowledge: What the list of steps is called there.
        notes: What a writer of dialogues has to mind, in whole sentences.
        steps_given: The dataset names the steps of each task, as a recipe the person follows: they
            are the knowledge, and none is inferred. ProAssist does so for EgoExoLearn and WTaG.
    """

    domain: str
    knowledge: str
    notes: str
    steps_given: bool = False


DEFAULT = Requirements(
    "everyday task",
    "list of steps",
    "Speak of what the person sees and touches, never of a video or a description.",
)

_TALK = (
    "Quoted lines are what a person and a human helper really said; the transcript is rough. "
    "Keep what matters of it near its times, in clean sentences, and leave out what can't be "
    "understood."
)

REQUIREMENTS: dict[str, Requirements] = {
    "assembly101": Requirements(
        "assembly and disassembly of toys",
        "assembly steps",
        "Lines marked as mistakes must not happen: the assistant never asks for them, and points "
        "them out once they have begun. A line marked as a correction puts an earlier mistake "
        "right.",
    ),
    "captaincook4d": Requirements(
        "cooking",
        "cooking recipe",
        "Some lines are marked with an error in how the step is done: the assistant points it out "
        "once it shows, and asks for the step as the recipe has it.",
        steps_given=True,
    ),
    "ego4d": Requirements(
        "cooking",
        "cooking recipe",
        "The same small actions may come back many times: the assistant says once how a round of "
        "them goes and does not repeat itself each time.",
    ),
    "egoexolearn": Requirements(
        "cooking or laboratory work",
        "recipe or laboratory protocol",
        "The lines are small movements: the assistant speaks of what they are for.",
        steps_given=True,
    ),
    "epickitchens": Requirements(
        "cooking",
        "cooking recipe",
        "The lines are small movements in a kitchen, tidying and false starts among them: the "
        "assistant guides by what serves the meal and lets small movements pass.",
    ),
    "holoassist": Requirements(
        "object manipulation", "operation manual", _TALK + " Lines marked ERROR need a correction."
    ),
    "wtag": Requirements("cooking", "cooking recipe", _TALK, steps_given=True),
}
