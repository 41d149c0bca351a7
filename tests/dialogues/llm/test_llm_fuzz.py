"""Arbitrary and damaged replies: a legal dialogue or a reason, and always an end."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.dialogues.llm.parse import INITIATIVES, INTENTS
from prospect.types import UserType
from tests.dialogues.llm.table import FEW, GOOD, write


def _changed(text: str) -> st.SearchStrategy[str]:
    """A reply with lines in another order, cut off, or with something put in."""
    lines = text.split("\n")
    cut = st.integers(0, len(text)).map(lambda at: text[:at])
    put = st.tuples(st.integers(0, len(text)), st.text(max_size=8)).map(
        lambda at: text[: at[0]] + at[1] + text[at[0] :]
    )
    swapped: Callable[[tuple[str, ...]], str] = "\n".join
    return st.one_of(
        st.just(text),
        cut,
        put,
        st.permutations(lines).map(tuple).map(swapped),
        st.text(max_size=40),
    )


ALTERED = st.lists(st.sampled_from(sorted(GOOD)), max_size=3, unique=True)
REPLIES = ALTERED.flatmap(
    lambda stages: st.fixed_dictionaries(
        {stage: st.lists(_changed(GOOD[stage]), min_size=1, max_size=3) for stage in stages}
    )
)
USER_TYPES = st.sampled_from(("no_talk", "talk_some", "talk_more"))


@settings(max_examples=150, deadline=None)
@given(REPLIES, USER_TYPES)
def test_any_replies_give_a_dialogue_or_a_reason(
    replies: dict[str, list[str]], user_type: UserType
) -> None:
    check_any(replies, user_type)


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None)
@given(REPLIES, USER_TYPES)
def test_any_replies_give_a_dialogue_or_a_reason_long(
    replies: dict[str, list[str]], user_type: UserType
) -> None:
    check_any(replies, user_type)


def check_any(replies: dict[str, list[str]], user_type: UserType) -> None:
    written, table = write({**replies}, user_type=user_type, config=replace(FEW, max_tries=2))
    assert len(table.asked) <= 2 * (3 + 2 + 1 + 4 + 20)
    if isinstance(written, str):
        assert written
        assert not re.search("[0-9]", written)
        return
    times = [turn.time_s for turn in written.turns]
    assert times == sorted(times)
    assert times[0] >= written.start_s
    assert times[-1] <= written.duration_s
    for turn in written.turns:
        initiative, _, intents = turn.labels.partition("|")
        assert bool(turn.labels) == (turn.role == "assistant") == (turn.summary is not None)
        assert not turn.labels or initiative in INITIATIVES
        assert not turn.labels or set(intents.split(",")) <= {*INTENTS}
