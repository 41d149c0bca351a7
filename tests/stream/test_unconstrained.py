"""State turns as any text: what is applied, what is counted, what stays in the context."""

from collections.abc import Sequence

import pytest
import torch
from transformers import PreTrainedTokenizerBase

from prospect.samples.sequence import Prompt, Renderer
from prospect.states.notation import format_transitions
from prospect.states.transitions import fold, initial_state
from prospect.stream.context import Context
from prospect.stream.unconstrained import (
    MAX_NEW_TOKENS,
    Written,
    counted,
    read_moves,
    write_freely,
)
from prospect.types import Step, Task

STATE = initial_state(Task("Build", tuple(Step(f"S{n}", "Do it.") for n in (1, 2))))


@pytest.mark.parametrize(
    ("text", "legal", "counts"),
    [
        ("S1->start", "S1->start", (1, 0, 0)),
        ("S1->start, S1->complete, S2->start", "S1->start, S1->complete, S2->start", (3, 0, 0)),
        ("S1->start, S1->start, wheels on", "S1->start", (3, 1, 1)),
        ("S1->complete, S1->start", "S1->start", (2, 1, 0)),
        ("S3->start", "", (1, 1, 0)),
        ("S1 -> start,S2->start", "", (1, 0, 1)),
        ("S1->finish", "", (1, 0, 1)),
        ("", "", (1, 0, 1)),
        ("S1->start, ", "S1->start", (2, 0, 1)),
    ],
)
def test_each_piece_is_judged_by_the_legal_ones_before(
    text: str, legal: str, counts: tuple[int, int, int]
) -> None:
    found = read_moves(text, STATE)
    assert format_transitions(found.transitions) == legal
    assert (found.moves, found.illegal, found.unreadable) == counts
    fold(STATE, found.transitions)


def written(renderer: Renderer, tokens: Sequence[int]) -> tuple[Written, list[int], int]:
    """What a model writes that finds just these tokens likeliest, its context, and its passes."""
    context = Context(0, Prompt([1, 2, 3], []))
    job = write_freely(context, renderer, STATE)
    ask, passes = next(job), 0
    while True:
        assert (ask.context, ask.at, ask.logits) == (context, [len(context.tokens) - 1], True)
        logits = torch.zeros(1, 50_000)
        logits[0, tokens[passes]] = 1.0
        logits[0, renderer.image_id] = 2.0  # a marker can't be written, however likely
        passes += 1
        try:
            ask = job.send(logits)
        except StopIteration as end:
            return end.value, context.tokens[3:], passes


def test_the_text_stays_as_it_was_written(tokenizer: PreTrainedTokenizerBase) -> None:
    renderer = Renderer(tokenizer, 1)
    text = renderer.text("S2->start, S2->start")
    found, turn, passes = written(renderer, [*text, renderer.end_id])
    assert (len(found.transitions), found.moves, found.illegal) == (1, 2, 1)
    assert turn == [*renderer.header("state"), *text, renderer.end_id]
    assert passes == len(text) + 1


def test_a_text_without_end_is_cut(tokenizer: PreTrainedTokenizerBase) -> None:
    renderer = Renderer(tokenizer, 1)
    (word,) = renderer.text(" on")
    found, turn, passes = written(renderer, [word] * (MAX_NEW_TOKENS + 1))
    assert (found.moves, found.unreadable, passes) == (1, 1, MAX_NEW_TOKENS)
    assert turn == [*renderer.header("state"), *[word] * MAX_NEW_TOKENS, renderer.end_id]


def test_totals() -> None:
    turns = [read_moves("S1->start, S1->start", STATE), read_moves("well", STATE)]
    assert counted(turns) == {"written_moves": 3, "illegal_moves": 1, "unreadable_moves": 1}
    assert counted([]) == dict.fromkeys(counted(turns), 0)
