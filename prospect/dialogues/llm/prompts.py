"""The words that are sent to a language model; nothing else of the writer is.

In: what is known at a stage. Out: the messages of one request. Every text that can reach a model
stands in `TEMPLATES`, `USERS` and `REQUIREMENTS`, and `PROMPTS_HASH` covers them all: a dialogue
names it, so that dialogues of other prompts are told apart.
"""

from collections.abc import Sequence
from dataclasses import astuple

from prospect.dialogues.llm.parse import INTENTS, VERDICTS
from prospect.dialogues.llm.requirements import DEFAULT, REQUIREMENTS, Requirements
from prospect.dialogues.llm.windows import Window
from prospect.files import text_hash
from prospect.llm import Message
from prospect.types import Task, Turn, UserType

PROMPTS_VERSION = 1
"""Rises when the prompts or their use change in meaning."""

TEMPLATES: dict[str, str] = {
    "system": """\
You help to build a data set of spoken guidance. A person wears a camera and does a task of this \
kind: {domain}. An assistant sees what the camera sees, knows the {knowledge}, and talks with the \
person. You work from notes on what is visible in a recording, with times in seconds from its \
start. {notes} Answer with exactly what is asked for: no introduction, no comment on your work.""",
    "filter": """\
Judge whether the recording below suits the data set.

Notes on the recording:
{description}

Choose one word:
- suitable: most of the time one goal is worked towards in several steps that somebody could be \
guided through.
- several_tasks: unrelated goals share the time.
- no_goal: it can't be said what the person wants to achieve.
- too_vague: the notes are too few or too unclear to tell the steps.

Reason in at most three sentences. The last line of your reply is "ANSWER: " and the word.""",
    "infer": """\
Find out what the person in this recording wants to achieve, and write the {knowledge} that they \
seem to follow.{hint}

Notes on the recording:
{description}

The first line of your reply is a short title of the goal. After it comes one numbered line for \
each step ("1. ..."), as an instruction in one sentence. Write what a person should do in general: \
put steps in a sensible order, merge small movements, say a repeated round once, and leave out \
mistakes, detours and idle time. Name no times.""",
    "choose": """\
Several people described the goal of the same recording and the {knowledge} behind it. Write the \
one version that fits the recording best. Take over what they agree on and drop what the notes do \
not support.

Notes on the recording:
{description}

{proposals}

Use the same form: the title on the first line, then one numbered line for each step.""",
    "draft": """\
Write the next part of the conversation between the person ("User") and the assistant.

Goal: {goal}
{knowledge_title}:
{steps}

About this user: {user}

Notes on the recording around this part:
{window}

Said just before this part:
{recent}

Write what is said from {from_s:.1f}s to {to_s:.1f}s. {opening}
Rules:
- One line for each turn, sorted by time: "[12.3s] User: ..." or "[12.4s] Assistant: ...". All \
times lie between {from_s:.1f}s and {to_s:.1f}s.
- The assistant gives an instruction shortly before or when the action it asks for begins, \
confirms what has been done well, points out a mistake as soon as it shows, and adds a useful \
fact now and then. It is silent when nothing needs to be said.
- It answers a user 0.1 s after the question.
- It knows what has happened up to that time and the steps of the task, never what the notes say \
of later.
- Turns are short and sound spoken. Nobody mentions notes, times, videos or cameras. No two turns \
have the same words.""",
    "refine": """\
Edit this part of a conversation between a user and an assistant, and label what the assistant \
says.

Goal: {goal}

Said just before this part:
{recent}

The part to edit:
{draft}

Edit the assistant's turns: join those that follow at once and belong together, drop what only \
repeats, use "it" and "that" where the thing is known, vary the wording, stay short and concrete. \
Keep each user turn and its time, though you may reword it. A joined turn has the time of the first.
Then end each assistant turn with its labels in brackets, after this pattern: \
"[initiative|instruction, feedback]".
- Before the bar: "responsive" if it answers what the user has just said, otherwise "initiative".
- After the bar one or more of: "instruction" (what to do), "correction" (what went wrong and how \
to put it right), "info_sharing" (a fact or an explanation), "feedback" (praise, confirmation), \
"other".
User turns have no labels. Write one line for each turn, sorted by time:
[12.3s] User: ...
[12.4s] Assistant: ... [responsive|info_sharing]
Your reply ends with the last turn.""",
    "summarize": """\
Write down where this task stands at {time_s:.1f}s, for an assistant that takes over at this \
moment and knows nothing else.

Goal: {goal}
{knowledge_title}:
{steps}

Seen so far:
{seen}

Said so far:
{said}

In one paragraph of two to four sentences, say what the user wants, which steps are done, what is \
being done now, which mistakes are still to be put right, and what else the user asked or told. \
Say nothing of what may come later, and do not mention times.""",
    "opening": """\
It begins at about {first_s:.1f}s with the user, who tells the goal; the assistant answers and \
leads into the first step.""",
    "hint": """\
 The data set calls it "{goal}".""",
    "proposal": "Version {number}:\n{goal}\n{steps}",
    "turn": "[{time_s:.1f}s] {role}: {text}",
    "nothing": "(nothing yet)",
}

USERS: dict[UserType, str] = {
    "no_talk": "tells the goal at the very beginning and never speaks again.",
    "talk_some": "speaks now and then: a question on how something is done or what comes next, or "
    "a word that something is finished. Most of the time they work in silence.",
    "talk_more": "talks a lot: asks about details and reasons, tells what they are doing, checks "
    "whether it is right, and sometimes brings up something related to the task.",
}
"""ProAssist's three types of users, in our words."""

PROMPTS_HASH = text_hash(
    repr(
        (
            PROMPTS_VERSION,
            sorted(TEMPLATES.items()),
            sorted(USERS.items()),
            sorted((name, astuple(item)) for name, item in REQUIREMENTS.items()),
            astuple(DEFAULT),
            INTENTS,
            VERDICTS,
        )
    )
)
"""16 hex digits that change with any text a model may see or word it may answer."""

Prompt = tuple[Message, ...]


def requirements(dataset: str) -> Requirements:
    """What is special about a dataset; `DEFAULT` for one that has no entry."""
    return REQUIREMENTS.get(dataset, DEFAULT)


def filtering(about: Requirements, description: str) -> Prompt:
    """Does this video suit?"""
    return _prompt(about, TEMPLATES["filter"].format(description=description))


def inferring(about: Requirements, goal: str, description: str) -> Prompt:
    """What are goal and steps? ``goal`` is the dataset's word for it, perhaps empty."""
    hint = TEMPLATES["hint"].format(goal=goal) if goal else ""
    filled = TEMPLATES["infer"].format(
        knowledge=about.knowledge, hint=hint, description=description
    )
    return _prompt(about, filled)


def choosing(about: Requirements, description: str, proposals: Sequence[Task]) -> Prompt:
    """Which goal and steps are right, in view of these proposals?"""
    listed = (
        TEMPLATES["proposal"].format(number=number, goal=task.goal, steps=steps(task))
        for number, task in enumerate(proposals, start=1)
    )
    filled = TEMPLATES["choose"].format(
        knowledge=about.knowledge, description=description, proposals="\n\n".join(listed)
    )
    return _prompt(about, filled)


def drafting(
    about: Requirements,
    task: Task,
    user_type: UserType,
    window: Window,
    opens: bool,
    recent: Sequence[Turn],
) -> Prompt:
    """What is said in this window? ``opens`` tells the first window from the others."""
    filled = TEMPLATES["draft"].format(
        goal=task.goal,
        knowledge_title=about.knowledge.capitalize(),
        steps=steps(task),
        user=USERS[user_type],
        window=window.text,
        recent=spoken(recent),
        from_s=window.from_s,
        to_s=window.to_s,
        opening=TEMPLATES["opening"].format(first_s=window.first_s) if opens else "",
    )
    return _prompt(about, filled)


def refining(
    about: Requirements, task: Task, draft: Sequence[Turn], recent: Sequence[Turn]
) -> Prompt:
    """How is it said better, and with which labels?"""
    filled = TEMPLATES["refine"].format(goal=task.goal, draft=spoken(draft), recent=spoken(recent))
    return _prompt(about, filled)


def summarizing(about: Requirements, task: Task, seen: str, said: Sequence[Turn]) -> Prompt:
    """Where does the task stand at the last turn of ``said``?"""
    filled = TEMPLATES["summarize"].format(
        time_s=said[-1].time_s,
        goal=task.goal,
        knowledge_title=about.knowledge.capitalize(),
        steps=steps(task),
        seen=seen or TEMPLATES["nothing"],
        said=spoken(said),
    )
    return _prompt(about, filled)


def steps(task: Task) -> str:
    """``1. ...`` a line."""
    return "\n".join(f"{number}. {step.name}" for number, step in enumerate(task.steps, start=1))


def spoken(turns: Sequence[Turn]) -> str:
    """``[12.3s] User: ...`` a line, without labels."""
    lines = (
        TEMPLATES["turn"].format(time_s=turn.time_s, role=turn.role.capitalize(), text=turn.text)
        for turn in turns
    )
    return "\n".join(lines) or TEMPLATES["nothing"]


def _prompt(about: Requirements, request: str) -> Prompt:
    system = TEMPLATES["system"].format(
        domain=about.domain, knowledge=about.knowledge, notes=about.notes
    )
    return Message("system", system), Message("user", request)
