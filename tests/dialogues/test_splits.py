"""Splits that the seed and names alone decide; near-duplicates against comparing all pairs."""

import random
import re
import time
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.dialogues.splits import (
    SPLITTERS,
    Duplicate,
    fewest,
    near_duplicates,
    split_by_task,
    split_by_video,
)
from prospect.errors import ConfigError
from prospect.types import Annotation, Dialogue, Split, Step, Task, Turn

TASK = Task("Build it.", (Step("S1", "Attach the wheel."),))


def annotation(video_id: str, split: Split = "val", kind: str = "b") -> Annotation:
    return Annotation(video_id, "d", split, TASK, kind, 60.0, ())


def dialogue(name: str, split: Split, *texts: str) -> Dialogue:
    turns = tuple(Turn("assistant", float(n), text) for n, text in enumerate(texts))
    return Dialogue(name, name, "d", split, "no_talk", "w", TASK, "b", 60.0, turns)


def test_few_videos_of_a_split() -> None:
    ones = [annotation(f"t{n}", "train") for n in range(50)]
    ones += [annotation(f"v{n}") for n in range(9)]
    made = fewest(ones, {"train": 7})
    assert Counter(one.split for one in made) == {"train": 7, "val": 9}
    assert [one for one in ones if one in made] == made
    shuffled = random.Random(0).sample(ones, len(ones))
    assert {one.video_id for one in fewest(shuffled, {"train": 7})} == {o.video_id for o in made}
    # more videos are these and others
    assert {one.video_id for one in fewest(ones, {"train": 8})} > {one.video_id for one in made}
    assert fewest(ones, {"train": 7}, seed=1) != made
    assert fewest(ones, {"test": 3, "val": 99}) == fewest(ones, {}) == ones


def test_half_of_what_is_not_trained_on_validates() -> None:
    ones = [annotation(f"t{n}", "train") for n in range(5)]
    ones += [annotation(f"v{n}", "test" if n % 3 else "val") for n in range(21)]
    made = split_by_video(ones)
    assert [one.video_id for one in made] == [one.video_id for one in ones]
    assert Counter(one.split for one in made) == {"train": 5, "val": 10, "test": 11}
    assert all(one.split == "train" for one in made[:5])
    assert made == split_by_video(ones)
    assert made != split_by_video(ones, seed=1)
    shuffled = random.Random(0).sample(ones, len(ones))
    by_name = {one.video_id: one.split for one in split_by_video(shuffled)}
    assert by_name == {one.video_id: one.split for one in made}
    assert split_by_video([annotation("v")])[0].split == "test"
    assert split_by_video(list[Annotation]()) == []


def test_all_dialogues_of_a_video_stay_together() -> None:
    ones = [
        replace(dialogue(f"{v}/{n}", "val", "Hi."), video_id=v) for v in "abcdef" for n in (0, 1)
    ]
    splits = defaultdict(set)
    for one in split_by_video(ones):
        splits[one.video_id].add(one.split)
    assert all(len(found) == 1 for found in splits.values())


COUNTS = st.lists(st.integers(1, 12), min_size=3, max_size=20)


@settings(max_examples=100, deadline=None)
@given(COUNTS, st.integers(0, 5), st.sampled_from([0.1, 0.2, 0.4]))
def test_tasks_that_validate_or_test_are_never_trained_on(
    counts: list[int], seed: int, share: float
) -> None:
    ones = [
        annotation(f"{kind}-{n}", "train", f"Task {kind}")
        for kind, count in enumerate(counts)
        for n in range(count)
    ]
    made = split_by_task(ones, seed, share, share)
    splits = defaultdict(set)
    for one in made:
        splits[one.task_type].add(one.split)
    assert all(len(found) == 1 for found in splits.values())
    sizes = Counter(one.split for one in made)
    assert set(sizes) == {"train", "val", "test"}
    for split in ("val", "test"):
        kinds = [kind for kind, found in splits.items() if split in found]
        assert sizes[split] <= share * len(ones) or len(kinds) == 1
    by_name = {one.video_id: one.split for one in split_by_task(ones[::-1], seed, share, share)}
    assert by_name == {one.video_id: one.split for one in made}


def test_a_task_is_one_in_every_spelling_and_dataset() -> None:
    ones = [annotation(f"{kind}{n}", "train", kind) for kind in "abcdefghij" for n in range(3)]
    ones += [replace(one, dataset="other", task_type=one.task_type.upper()) for one in ones]
    splits = defaultdict(set)
    for one in split_by_task(ones):
        splits[one.task_type.lower()].add(one.split)
    assert all(len(found) == 1 for found in splits.values())


def test_a_split_by_task_needs_tasks() -> None:
    with pytest.raises(ConfigError, match="needs 3 kinds of task, there are 2: b, c; split by"):
        split_by_task([annotation("x"), annotation("y", kind="C")])
    with pytest.raises(ConfigError, match="there are 0: none"):
        split_by_task(list[Annotation]())
    with pytest.raises(ConfigError, match=r"val_share 0.5 and test_share 0.5"):
        split_by_task([annotation("x")], 0, 0.5, 0.5)


def test_the_datasets_own_split_is_the_default() -> None:
    ones = [annotation("x", "test"), annotation("y", "train")]
    assert SPLITTERS["given"](ones) == ones
    assert list(SPLITTERS) == ["given", "by_video", "by_task"]


def all_pairs(dialogues: list[Dialogue], threshold: float) -> list[Duplicate]:
    """Every pair across splits, compared the long way."""

    def runs(one: Dialogue) -> set[tuple[str, ...]]:
        words = re.findall(r"[a-z]+", " ".join(turn.text for turn in one.turns).lower())
        whole = {tuple(words)} if words else set()
        return {tuple(words[n : n + 3]) for n in range(len(words) - 2)} or whole

    found = []
    for index, one in enumerate(dialogues):
        for other in dialogues[index + 1 :]:
            union = runs(one) | runs(other)
            if one.split != other.split and union:
                similarity = len(runs(one) & runs(other)) / len(union)
                if similarity >= threshold:
                    found.append(Duplicate(one.dialogue_id, other.dialogue_id, similarity))
    return sorted(found, key=lambda pair: -pair.similarity)


def test_near_duplicates_by_hand() -> None:
    ones = [
        dialogue("a", "train", "Take the red cup", "and fill it."),
        dialogue("b", "test", "Take the red cup and", "fill it!"),
        dialogue("c", "test", "Take the red cup and wash it."),
        dialogue("d", "train", "Take the red cup and fill it."),
        dialogue("e", "val"),
        dialogue("f", "train"),
    ]
    # c shares 3 of the 7 runs that it and any other have together
    assert near_duplicates(ones, 1.0) == [Duplicate("a", "b", 1.0), Duplicate("b", "d", 1.0)]
    pairs = near_duplicates(ones, 0.4)
    assert pairs[2:] == [Duplicate("a", "c", 3 / 7), Duplicate("c", "d", 3 / 7)]
    assert near_duplicates([], 0.5) == []
    for threshold in (0.0, 1.1):
        with pytest.raises(ConfigError, match=f"threshold is {threshold}"):
            near_duplicates(ones, threshold)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["train", "val"]), st.text("abc ", max_size=24)), max_size=14
    ),
    st.sampled_from([0.05, 0.3, 0.5, 2 / 3, 0.8, 1.0]),
)
def test_no_pair_is_lost(texts: list[tuple[Split, str]], threshold: float) -> None:
    ones = [dialogue(str(n), split, text) for n, (split, text) in enumerate(texts)]

    def key(pair: Duplicate) -> tuple[float, str, str]:
        return -pair.similarity, pair.first, pair.second

    found = near_duplicates(ones, threshold)
    assert sorted(found, key=key) == sorted(all_pairs(ones, threshold), key=key)


def test_thousands_of_dialogues_take_seconds() -> None:
    rng = random.Random(0)
    steps = [" ".join(rng.choices("abcdefghijklmnopqrst", k=6)) for _ in range(400)]
    ones = []
    for number in range(2000):
        split: Split = "train" if number % 10 else "test"
        ones.append(dialogue(str(number), split, *rng.choices(steps, k=30)))
    copy = replace(ones[1], dialogue_id="copy", split="val")
    begun = time.perf_counter()
    assert near_duplicates([*ones, copy], 0.7) == [Duplicate("1", "copy", 1.0)]
    assert time.perf_counter() - begun < 15
