"""What is wrong with the words of a dialogue, turn by turn.

In: turns, and for contradictions the transitions of the video. Out: `Problem`s. The text checks
know the slips of language models that write dialogues: stage directions, remarks on their own
work, labels and times left in the text, the same instruction over and over.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prospect.dialogues.english import imperative, past
from prospect.dialogues.phrases import short
from prospect.embeddings import Embed
from prospect.states.transitions import apply, initial_state
from prospect.types import Dialogue, StateTrack, Task, Turn

MAX_WORDS = 80
"""ProAssist's longest refined turns have about 40 words."""
REPEAT_WINDOW = 10
MAX_REPEATS = 4
"""An instruction said as often as this within the last assistant turns is not said again."""
MIN_REPEAT_WORDS = 3
MIN_SIMILARITY = 0.8

_LABELS = "initiative|responsive|instruction|correction|info_sharing|feedback|other|question|answer"
_LABEL = re.compile(
    rf"\b(?:initiative|responsive) *\||[\[(] *(?:{_LABELS})(?: *[,|] *\w+)* *[\])]", re.IGNORECASE
)
_TIME = re.compile(r"\[ *\d+(?:\.\d+)? *s?(?: *-[^\]]*)?\]|\b\d+\.\d+ ?s\b|^\s*\d+\.\d+ *:")
_MARKUP = re.compile(r"[\[\]{}<>]|\*[^*\n]+\*|^\s*(?:[*•#]|\.\.\. *\()", re.MULTILINE)
_SPEAKER = re.compile(r"^\W*(?:assistant|user|system|instructor|student)\W{0,2}:", re.I)
_OWN_WORK = "merged|removed|rephrased|refined|revised|added|used|labell?ed|made|adjusted|couldn't"
_REMARKS = re.compile(
    rf"^\W*note\b.{{0,60}}?\bI(?:'ve| have)?(?: also)? (?:{_OWN_WORK})\b"
    r"|\b(?:refined|revised|original|above|following|simulated) (?:conversation|dialog(?:ue)?)\b"
    r"|^\W*(?:merged|removed|rephrased|refined|added) (?:the |some |more )?(?:similar )?"
    r"(?:turns|labels|messages|dialog|conversation|coreference|user's actions)"
    r"|\b(?:made|with) the following changes\b|\bcoreference\b|\binitiativ(?:e|ity) and intent"
    r"|\bas an ai\b|\blanguage model\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_DETERMINERS = frozenset(("a", "an", "her", "his", "its", "the", "their", "your"))
_NO_REQUEST = frozenset(
    ("already", "don't", "have", "just", "never", "not", "they", "we've", "you", "you've")
)
_REPORT = re.compile(r"\byou(?:'ve| have)?(?: already| just| also)* \w+ed\b|\bwell done\b", re.I)


@dataclass(frozen=True, slots=True)
class Problem:
    """A fault of a dialogue.

    Attributes:
        turn: Index of the turn; None if it is of the whole dialogue.
        reason: What kind of fault, to be counted.
        detail: The words at fault.
    """

    turn: int | None
    reason: str
    detail: str = ""


Check = Callable[[Sequence[Turn]], Iterator[Problem]]


def one_sided(turns: Sequence[Turn]) -> Iterator[Problem]:
    """Nothing is said by an assistant."""
    if not any(turn.role == "assistant" for turn in turns):
        yield Problem(None, "nothing said by an assistant")


def empty(turns: Sequence[Turn]) -> Iterator[Problem]:
    """Turns without a word."""
    for index, turn in enumerate(turns):
        if not _WORD.search(turn.text.lower()):
            yield Problem(index, "a turn without words", turn.text)


def long(turns: Sequence[Turn]) -> Iterator[Problem]:
    """Turns of more than `MAX_WORDS` words, which nobody listens to at work."""
    for index, turn in enumerate(turns):
        words = len(turn.text.split())
        if words > MAX_WORDS:
            yield Problem(index, f"a turn of more than {MAX_WORDS} words", f"{words} words")


def repeated(turns: Sequence[Turn]) -> Iterator[Problem]:
    """The same unasked instruction once more, after `MAX_REPEATS` times in the last few turns."""
    said: list[str] = []
    for index, turn in enumerate(turns):
        if turn.role != "assistant":
            continue
        text = " ".join(_words(turn.text))
        unasked = "instruction" in turn.labels and not turn.labels.startswith("responsive")
        often = said[-REPEAT_WINDOW:].count(text) >= MAX_REPEATS
        if (unasked or not turn.labels) and often and len(text.split()) >= MIN_REPEAT_WORDS:
            yield Problem(index, "the same instruction over and over", turn.text)
        said.append(text)


def _matching(reason: str, pattern: re.Pattern[str]) -> Check:
    def check(turns: Sequence[Turn]) -> Iterator[Problem]:
        for index, turn in enumerate(turns):
            found = pattern.search(turn.text)
            if found:
                yield Problem(index, reason, found[0])

    return check


TEXT_CHECKS: tuple[Check, ...] = (
    one_sided,
    empty,
    long,
    repeated,
    _matching("a speaker left in the text", _SPEAKER),
    _matching("a time left in the text", _TIME),
    _matching("a label left in the text", _LABEL),
    _matching("brackets or markup left in the text", _MARKUP),
    _matching("a remark on the dialogue", _REMARKS),
)


def text_problems(turns: Sequence[Turn]) -> list[Problem]:
    """What all of `TEXT_CHECKS` find, check by check; empty for a dialogue without fault."""
    return [problem for check in TEXT_CHECKS for problem in check(turns)]


def contradictions(
    dialogue: Dialogue,
    track: StateTrack,
    embed: Embed | None = None,
    min_similarity: float = MIN_SIMILARITY,
) -> list[Problem]:
    """Instructions for a step that is completed at the time, transitions of that time included.

    Only turns labelled ``instruction`` ask for a step. A step is asked for by its name, as it is
    or cut to its first clauses, whatever its articles; of names within one another the longest
    counts, and of steps with one name the one still open. "You attached it" and "don't attach it"
    ask for nothing.

    Args:
        dialogue: Turns sorted by time.
        track: Of its video; its task lists the steps.
        embed: If given, a sentence that names no step asks for the most similar one.
        min_similarity: Least cosine for that.
    """
    names = _names(track.task)
    reports = _reports(track.task)
    instructions = [
        (index, turn, completed)
        for index, turn, completed in _with_completed(dialogue.turns, track)
        if turn.role == "assistant" and "instruction" in turn.labels
    ]
    found = []
    unnamed = []
    for index, turn, completed in instructions:
        requests = _requests(turn.text, names, reports)
        found += [
            Problem(index, "an instruction for a completed step", phrase)
            for phrase in requests
            if names[phrase] <= completed
        ]
        if not requests:
            unnamed += [(index, part, completed) for part in _sentences(turn.text)]
    if embed is not None and names and unnamed:
        phrases = list(names)
        vectors = embed([*phrases, *(part for _, part, _ in unnamed)])
        similar = vectors[len(phrases) :] @ vectors[: len(phrases)].T  # [sentences, phrases]
        for (index, part, completed), row in zip(unnamed, similar, strict=True):
            best = int(row.argmax())
            if row[best] >= min_similarity and names[phrases[best]] <= completed:
                found.append(Problem(index, "an instruction for a completed step", part))
    return sorted(found, key=lambda problem: problem.turn or 0)


def _with_completed(
    turns: Sequence[Turn], track: StateTrack
) -> Iterator[tuple[int, Turn, frozenset[str]]]:
    """Every turn with its index and the ids of the steps that are completed then."""
    state = initial_state(track.task)
    done = 0
    for index, turn in enumerate(turns):
        while done < len(track.transitions) and track.transitions[done].time_s <= turn.time_s:
            state = apply(state, track.transitions[done].transition)
            done += 1
        yield index, turn, frozenset(one for one, status in state.items() if status == "completed")


def _words(text: str) -> list[str]:
    """Lower-case words without articles and the like: "Attach the wheel." = "attach a wheel"."""
    return [word for word in _WORD.findall(text.lower()) if word not in _DETERMINERS]


def _names(task: Task) -> dict[str, frozenset[str]]:
    """name in plain words, whole or cut short -> the steps it is a name of."""
    found: dict[str, set[str]] = defaultdict(set)
    for step in task.steps:
        for phrase in (imperative(step.name), short(imperative(step.name))):
            words = _words(phrase)
            if len(words) > 1:  # one word, like "start", is said without asking for anything
                found[" ".join(words)].add(step.id)
    return {phrase: frozenset(ids) for phrase, ids in found.items()}


def _reports(task: Task) -> list[str]:
    """ "you attached wheel": that a step was done, longest first, in plain words."""
    wholes = [imperative(step.name) for step in task.steps]
    told = {" ".join(_words(f"you {past(name)}")) for one in wholes for name in (one, short(one))}
    return sorted(told, key=len, reverse=True)


def _requests(text: str, names: dict[str, frozenset[str]], reports: list[str]) -> list[str]:
    """The names that a sentence asks for, each of the longest at its place."""
    said = " ".join(_words(text))
    for report in reports:
        said = re.sub(rf"\b{re.escape(report)}\b", "|", said)
    spans = [
        (match.start(), match.end(), phrase)
        for phrase in names
        if phrase in said  # most are not: a plain search is much faster than a pattern
        for match in re.finditer(rf"(?<!\S){re.escape(phrase)}(?!\S)", said)
    ]
    longest = [
        span
        for span in spans
        if not any(
            other[0] <= span[0] and span[1] <= other[1] and other[:2] != span[:2] for other in spans
        )
    ]
    return [
        phrase
        for start, _, phrase in sorted(longest)
        if (said[:start].split() or [""])[-1] not in _NO_REQUEST
    ]


def _sentences(text: str) -> list[str]:
    """The sentences that may ask for something."""
    parts = re.split(r"(?<=[.!?])\s+", text)
    return [part for part in parts if part and not part.endswith("?") and not _REPORT.search(part)]
