"""A writer of four short turns: an annotation, a good reply for each stage, a table to ask."""

from collections import Counter
from dataclasses import dataclass, field

from prospect.dialogues.llm import LLMWriterConfig, llm_writer, prompts
from prospect.llm import Reply, Request
from prospect.types import Action, Annotation, Dialogue, Task, UserType

FEW = LLMWriterConfig(filter_samples=3, knowledge_samples=2, window_lines=2, max_tries=3)

GOOD = {
    "filter": "Clearly tea.\nANSWER: suitable",
    "infer": "Tea\n1. Boil water.\n2. Pour it.",
    "choose": "Brew tea\n1. Boil water.\n2. Pour it over the leaves.",
    "draft 1": "[2.0s] User: I want tea.\n[2.1s] Assistant: Boil water.\n[8.0s] Assistant: Good.",
    "refine 1": "Here is the dialogue:\n\n[2.0s] User: I want tea.\n"
    "[2.1s] Assistant: Nice! Boil some water. [responsive|feedback, instruction]\n\n"
    "[8.0s] Assistant: It boils. [initiative|info_sharing]",
    "draft 2": "[10.0s] Assistant: Pour it.\n[15.0s] Assistant: Well done.",
    "refine 2": "[10.0s] Assistant: Now pour it over the leaves. [initiative|instruction]\n"
    "[15.0s] Assistant: Well done, that is tea. [initiative|feedback]",
    "summarize": "The user wants tea; the water has been put on.",
}


def tea() -> Annotation:
    texts = [(2.0, 5.0, "fill kettle"), (5.0, 9.0, "boil water"), (10.0, 14.0, "pour water"),
             (15.0, 18.0, "stir")]  # fmt: skip
    return Annotation(
        video_id="v1",
        dataset="kitchen",
        split="val",
        task=Task("Tea.", ()),
        task_type="tea",
        duration_s=20.0,
        actions=tuple(Action(start, end, text, "action") for start, end, text in texts),
        start_s=1.0,
    )


STAGES = ("filter", "infer", "choose", "draft", "refine", "summarize")


@dataclass
class Table:
    """Answers by stage, and by window where there are several; notes what it was asked.

    ``replies[stage]`` is one text for all samples, or one for each try, the last for all more.
    """

    replies: dict[str, str | list[str]]
    asked: list[tuple[str, Request]] = field(default_factory=list)
    tries: Counter[tuple[str, int]] = field(default_factory=Counter)

    def __call__(self, request: Request) -> Reply:
        stage = self.stage(request.messages[1].text)
        found = self.replies[stage]
        texts = [found] if isinstance(found, str) else found
        number = sum(name == stage for name, _ in self.asked)
        self.asked.append((stage, request))
        return Reply(texts[min(number, len(texts) - 1)], "stop", "m", 1, 1, 0.0)

    def stage(self, text: str) -> str:
        name = next(name for name in STAGES if text.startswith(prompts.TEMPLATES[name][:20]))
        if name == "draft":
            return f"draft {1 if 'begins at about' in text else 2}"
        if name == "refine":
            return f"refine {1 if 'I want' in text.partition('The part to edit')[2] else 2}"
        return name

    def count(self, stage: str) -> int:
        return sum(name == stage for name, _ in self.asked)


def write(
    replies: dict[str, str | list[str]],
    annotation: Annotation | None = None,
    user_type: UserType = "talk_some",
    seed: int = 0,
    config: LLMWriterConfig = FEW,
) -> tuple[Dialogue | str, Table]:
    table = Table({**GOOD, **replies})
    return llm_writer(table, config, "m")(annotation or tea(), user_type, seed), table
