"""The dialogue that the people in the video had, as the dataset wrote it down."""

from prospect.dialogues.label import label
from prospect.dialogues.progress import as_dialogue
from prospect.errors import ConfigError
from prospect.types import Annotation, Dialogue, UserType


def write(annotation: Annotation, user_type: UserType, seed: int) -> Dialogue | str:
    """The annotation's own conversation with progress summaries, or why there is none.

    ``seed`` only numbers the dialogue.

    Raises:
        ConfigError: ``user_type`` is not ``human``.
    """
    if user_type != "human":
        raise ConfigError(f"people's own dialogues have user type 'human', not {user_type!r}")
    turns = annotation.conversation
    if not any(turn.role == "assistant" for turn in turns):
        return "nothing said by an assistant"
    return as_dialogue(annotation, label(annotation), turns, user_type, "human", seed)
