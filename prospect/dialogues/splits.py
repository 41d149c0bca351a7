"""Which videos train, validate and test; and dialogues that stand on both sides of a split.

In: annotations or dialogues. Out: the same with another `split`, or pairs of near-duplicates. The
choices depend on the seed and on names alone, not on the order of the records.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from prospect.errors import ConfigError
from prospect.files import text_hash
from prospect.types import Annotation, Dialogue, Split

T = TypeVar("T", Annotation, Dialogue)

SEED = 42
"""ProAssist's."""
SHINGLE_WORDS = 3
_WORD = re.compile(r"\w+(?:'\w+)?")


def split_by_video(items: Sequence[T], seed: int = SEED) -> list[T]:
    """Divide what is not for training anew: half of the videos validate, half test.

    ProAssist does the same with its datasets' validation videos; of an odd number the test split
    gets one more. Training videos stay, since their annotations may have been made otherwise.
    """
    names = {item.video_id for item in items if item.split != "train"}
    shuffled = sorted(names, key=lambda name: text_hash(f"{seed}/{name}"))
    val = frozenset(shuffled[: len(shuffled) // 2])

    def split(item: T) -> Split:
        if item.split == "train":
            return "train"
        return "val" if item.video_id in val else "test"

    return [replace(item, split=split(item)) for item in items]


def split_by_task(
    items: Sequence[T], seed: int = SEED, val_share: float = 0.1, test_share: float = 0.1
) -> list[T]:
    """Divide the kinds of task, so that those which validate or test are never trained on.

    Kinds are drawn by the seed, as long as they fit into a split's share of the videos; where none
    fits, the split gets the rarest one. Kinds of equal name in two datasets are one.

    Args:
        val_share, test_share: Of all videos, in (0, 1), together below 1.

    Raises:
        ConfigError: shares that leave nothing, or fewer than three kinds of task.
    """
    if not (val_share > 0 and test_share > 0 and val_share + test_share < 1):
        raise ConfigError(
            f"val_share {val_share} and test_share {test_share}: both positive, together below 1"
        )
    kinds = {(item.dataset, item.video_id): item.task_type.casefold() for item in items}
    videos = Counter(kinds.values())
    if len(videos) < 3:
        raise ConfigError(
            f"a split by task needs 3 kinds of task, there are {len(videos)}: "
            f"{', '.join(sorted(videos)) or 'none'}; split by video instead"
        )
    drawn = sorted(videos, key=lambda kind: text_hash(f"{seed}/{kind}"))
    chosen: dict[str, Split] = {}
    shares: tuple[tuple[Split, float, int], ...] = (("test", test_share, 2), ("val", val_share, 1))
    for split, share, num_waiting in shares:
        free = [kind for kind in drawn if kind not in chosen]
        left = share * len(kinds)
        for kind in free:
            others = len(drawn) - len(chosen) - 1
            if videos[kind] <= left and others >= num_waiting:  # each split to come needs one
                chosen[kind] = split
                left -= videos[kind]
        if split not in chosen.values():
            chosen[min(free, key=videos.__getitem__)] = split
    return [replace(one, split=chosen.get(one.task_type.casefold(), "train")) for one in items]


def fewest(items: Sequence[T], most: Mapping[Split, int], seed: int = SEED) -> list[T]:
    """At most so many videos of a split, drawn by the seed; one that isn't named stays whole."""
    names = defaultdict(list)
    for item in sorted(items, key=lambda one: text_hash(f"{seed}/{one.video_id}")):
        names[item.split].append(item.video_id)
    kept = {name for split, found in names.items() for name in found[: most.get(split)]}
    return [item for item in items if item.video_id in kept]


SPLITTERS: dict[str, Callable[[Sequence[Annotation]], list[Annotation]]] = {
    "given": list,
    "by_video": split_by_video,
    "by_task": split_by_task,
}
"""Name -> how annotations are divided; ``given`` leaves the split their dataset made."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two dialogues of different splits that say nearly the same; ids in the order of the file."""

    first: str
    second: str
    similarity: float


def near_duplicates(dialogues: Sequence[Dialogue], threshold: float = 0.7) -> list[Duplicate]:
    """Pairs across splits whose runs of three words overlap by a Jaccard index >= ``threshold``.

    Exact, and fast without comparing all: two sets that overlap enough share one of the rarest
    members of each, so only those are looked up (prefix filtering, Bayardo, Ma and Srikant,
    "Scaling up all pairs similarity search", WWW 2007; their lengths can't differ much either).

    Args:
        dialogues: All splits; dialogues without a word are like no other.
        threshold: In (0, 1].

    Returns:
        The most similar pair first.

    Raises:
        ConfigError: a threshold out of range.
    """
    if not 0 < threshold <= 1:
        raise ConfigError(f"threshold is {threshold}; it must be in (0, 1]")
    sets = _ranked([_shingles(one) for one in dialogues])
    holders: dict[int, list[int]] = defaultdict(list)
    found = []
    for index in sorted(range(len(sets)), key=lambda one: len(sets[one])):
        members = sets[index]
        # what a set needs in common with one of its size or smaller; a hair less for rounding
        needed = math.ceil(threshold * len(members) - 1e-9)
        prefix = sorted(members)[: len(members) - needed + 1] if members else []
        candidates = {other for member in prefix for other in holders[member]}
        for other in candidates:
            if dialogues[other].split == dialogues[index].split or len(sets[other]) < needed:
                continue
            common = len(members & sets[other])
            similarity = common / (len(members) + len(sets[other]) - common)
            if similarity >= threshold:
                first, second = sorted((index, other))
                found.append((-similarity, first, second))
        for member in prefix:
            holders[member].append(index)
    return [
        Duplicate(dialogues[first].dialogue_id, dialogues[second].dialogue_id, -negative)
        for negative, first, second in sorted(found)
    ]


def _shingles(dialogue: Dialogue) -> frozenset[str]:
    """Every run of three words over all turns; all words of a shorter dialogue."""
    words = [word for turn in dialogue.turns for word in _WORD.findall(turn.text.lower())]
    runs = max(1, len(words) - SHINGLE_WORDS + 1) if words else 0
    return frozenset(" ".join(words[at : at + SHINGLE_WORDS]) for at in range(runs))


def _ranked(sets: Sequence[frozenset[str]]) -> list[frozenset[int]]:
    """The same sets of numbers: the rarer a member, the smaller its number."""
    counts = Counter(member for members in sets for member in members)
    rank = {member: at for at, (member, _) in enumerate(sorted(counts.items(), key=_rarity))}
    return [frozenset(rank[member] for member in members) for members in sets]


def _rarity(item: tuple[str, int]) -> tuple[int, str]:
    return item[1], item[0]
