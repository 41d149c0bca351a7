"""A dialogue written by a language model, in ProAssist's stages (arXiv 2506.05904).

In: an `Annotation`, and something that answers requests. Out: a `Dialogue`, or why there is none:
the video does not suit, or one stage found no usable reply in ``max_tries`` samples.

    client = Client(LLMConfig(...), cache)
    write = llm_writer(client.ask, LLMWriterConfig(), "my-model")
"""

from collections.abc import Callable

from prospect.annotations.describe import describe
from prospect.dialogues.llm.asking import Ask
from prospect.dialogues.llm.config import LLMSettings, LLMWriterConfig
from prospect.dialogues.llm.knowledge import find_task
from prospect.dialogues.llm.parse import Fault
from prospect.dialogues.llm.prompts import PROMPTS_HASH, PROMPTS_VERSION, USERS
from prospect.dialogues.llm.simulate import write_turns
from prospect.errors import ConfigError
from prospect.types import Annotation, Dialogue, UserType

__all__ = [
    "PROMPTS_HASH",
    "PROMPTS_VERSION",
    "Ask",
    "LLMSettings",
    "LLMWriterConfig",
    "llm_writer",
    "writer_name",
]


def writer_name(model_name: str) -> str:
    """What stands in `Dialogue.writer`: ``llm:<model>@prompts-<hash>``."""
    return f"llm:{model_name}@prompts-{PROMPTS_HASH}"


def llm_writer(
    ask: Ask, settings: LLMWriterConfig, model_name: str
) -> Callable[[Annotation, UserType, int], Dialogue | str]:
    """A writer (`prospect.dialogues.Writer`) that asks a language model.

    The dialogue depends on nothing but the annotation, the user type, the seed and the replies.
    Its task is the one the model inferred, unless the dataset names the steps people follow.
    What ``ask`` raises passes through; in batch mode that is `Pending`, raised when all requests
    that don't wait for another's reply were made.
    """

    def write(annotation: Annotation, user_type: UserType, seed: int) -> Dialogue | str:
        if user_type not in USERS:
            raise ConfigError(f"no user {user_type!r} to play; there are {', '.join(USERS)}")
        if seed < 0:
            raise ConfigError(f"seed is {seed}; it must be at least 0")
        description = describe(annotation)
        if not description.strip() or annotation.duration_s <= annotation.start_s:
            return "nothing described"
        task = find_task(ask, settings, annotation, description)
        if isinstance(task, Fault):
            return task.reason
        turns = write_turns(ask, settings, annotation, description, task, user_type, seed)
        if isinstance(turns, Fault):
            return turns.reason
        return Dialogue(
            dialogue_id=f"{annotation.video_id}/{user_type}-{seed}",
            video_id=annotation.video_id,
            dataset=annotation.dataset,
            split=annotation.split,
            user_type=user_type,
            writer=writer_name(model_name),
            task=task,
            task_type=annotation.task_type,
            duration_s=annotation.duration_s,
            turns=turns,
            video_file=annotation.video_file,
            start_s=annotation.start_s,
        )

    return write
