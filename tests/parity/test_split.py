"""ProAssist's cut, exactly, by one switch of ours: ``split_conversation.json``."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospect.errors import ConfigError
from prospect.samples.clips import PROSPECT, CutRule, cut
from prospect.samples.sequence import NONE, Renderer
from prospect.types import Clip, Event
from tests.parity.proassist import as_clip, cases

Span = tuple[str, int | None, int | None, float | None]


class Words(Renderer):
    """Counts as the file does: a frame's tokens, and the words of each turn in Llama-3's form."""

    def __init__(self, system: str, tokens_per_frame: int, start_frame: int) -> None:
        self.tokens_per_frame = tokens_per_frame
        self._system = system
        self._start = start_frame

    def clip_prompt(self, clip: Clip) -> list[int]:
        # the splitter finds the system turn before the first frames, and none in what it leaves
        return _words("system", self._system) if clip.decide_from == self._start else []

    def event(self, event: Event) -> list[tuple[list[int], int]]:
        turns = [("assistant", event.speech), ("user", event.user)]
        return [(_words(role, text), NONE) for role, text in turns if text is not None]


def _words(role: str, text: str) -> list[int]:
    turn = f"<|start_header_id|>{role}<|end_header_id|>\n\n{text.strip()}<|eot_id|>"
    return [0] * len(turn.split())


def renderer_of(case: dict[str, Any], stream: Clip) -> Words:
    return Words(case["conversation"][0]["content"], case["num_tokens_per_img"], stream.start_frame)


def spans(clip: Clip, conversation: list[dict[str, Any]], stream: Clip) -> list[Span]:
    """A clip in the form of the file."""
    times = {
        turn["end"] - 1: said.get("time")
        for turn, said in pairwise(conversation)
        if turn["role"] == "frames"
    }
    found: list[Span] = []
    if clip.decide_from == stream.start_frame:
        found.append(("system", None, None, None))
    shown = clip.start_frame
    for event in clip.events:
        found.append(("frames", shown, event.frame + 1, None))
        role = "assistant" if event.speech is not None else "user"
        found.append((role, None, None, times[event.frame]))
        shown = event.frame + 1
    assert shown == clip.stop_frame  # ProAssist's clips end with an utterance
    return found


def test_the_cut_is_proassists(parity_dir: Path) -> None:
    for case in cases(parity_dir, "split_conversation.json"):
        stream, _ = as_clip(case["conversation"], case["fps"])
        rule = CutRule(back_s=(case["keep_ctx_s"], case["keep_ctx_s"]), utterances_only=True)
        clips = cut(stream, renderer_of(case, stream), case["max_seq_len"], 0, rule)
        found = [spans(clip, case["conversation"], stream) for clip in clips]
        # an empty list is where it discards what doesn't fit: those turns are in no clip of ours
        expected = [[tuple(turn) for turn in clip] for clip in case["clips"] if clip]
        assert found == expected, case["id"]


def test_ours_cuts_at_the_same_utterances_and_drops_nothing(parity_dir: Path) -> None:
    same = 0
    for case in cases(parity_dir, "split_conversation.json"):
        if not all(case["clips"]):
            continue
        stream, _ = as_clip(case["conversation"], case["fps"])
        back_s = (case["keep_ctx_s"], case["keep_ctx_s"])
        renderer, context_len = renderer_of(case, stream), case["max_seq_len"]
        theirs = cut(stream, renderer, context_len, 0, CutRule(back_s, utterances_only=True))
        ours = cut(stream, renderer, context_len, 0, CutRule(back_s))
        assert [event for clip in ours for event in clip.events] == list(stream.events)
        assert ours[-1].stop_frame == stream.stop_frame
        kept = {event.frame for clip in theirs for event in clip.events}
        assert {event.frame for event in stream.events} - kept == {
            event.frame for event in stream.events if event.frame >= theirs[-1].stop_frame
        }
        # same cuts; but for the end, where ProAssist leaves out what follows the last utterance
        assert [clip.stop_frame for clip in ours[: len(theirs) - 1]] == [
            clip.stop_frame for clip in theirs[:-1]
        ]
        assert [clip.start_frame for clip in ours[: len(theirs)]] == [
            clip.start_frame for clip in theirs
        ]
        same += len(theirs)
    assert same


Said = tuple[str, int, int]
"""Role, frame and words of a turn."""


def slow_split(
    said: list[Said], start: int, prompt: int, room: int, back: int
) -> list[tuple[int, int, list[int]]] | None:
    """ProAssist's rule in other words, turn by turn: (start, stop, frames of the turns) a clip.

    None where it would try the same turns for ever.
    """
    found = []
    stuck = -1
    while any(role == "assistant" for role, _, _ in said):
        sizes = [
            prompt + said[n][1] + 1 - start + sum(words for _, _, words in said[: n + 1])
            for n in range(len(said))
        ]
        ends = [n for n, (role, _, _) in enumerate(said) if role == "assistant"]
        fitting = [n for n in ends if sizes[n] <= room]
        if fitting:
            kept = said[: fitting[-1] + 1]
            found.append((start, kept[-1][1] + 1, [frame for _, frame, _ in kept]))
            said = said[len(kept) :]
        elif stuck == len(said) - ends[0]:
            return None
        else:
            said = said[ends[0] :]
            stuck = len(said)
        if said:
            start = max(0, said[0][1] + 1 - back)
        prompt = 0
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["assistant", "user"]), st.integers(1, 40), st.integers(1, 9)),
        min_size=1,
        max_size=14,
    ),
    st.integers(0, 20),
    st.integers(20, 120),
)
def test_any_conversation_is_cut_like_turn_by_turn(
    turns: list[tuple[str, int, int]], start: int, room: int
) -> None:
    conversation: list[dict[str, Any]] = [{"role": "system", "content": "Help."}]
    said: list[Said] = []
    shown = start
    for role, gap, words in turns:
        conversation.append({"role": "frames", "start": shown, "end": shown + gap})
        conversation.append({"role": role, "time": 0.0, "content": " ".join(["a"] * words)})
        shown += gap
        said.append((role, shown - 1, words + 1))
    stream, _ = as_clip(conversation)
    rule = CutRule(back_s=(5.0, 5.0), utterances_only=True)
    expected = slow_split(said, start, 2, room, 10)
    if expected is None:
        with pytest.raises(ConfigError, match="tokens don't hold"):
            cut(stream, Words("Help.", 1, start), room, 0, rule)
        return
    clips = cut(stream, Words("Help.", 1, start), room, 0, rule)
    found = [(c.start_frame, c.stop_frame, [e.frame for e in c.events]) for c in clips]
    assert found == expected


def test_what_no_utterance_fits_with_is_discarded() -> None:
    said = "one two three"
    stream, _ = as_clip(
        [
            {"role": "system", "content": "Help."},
            {"role": "frames", "start": 0, "end": 10},
            {"role": "user", "time": 5.0, "content": said},
            {"role": "frames", "start": 10, "end": 100},
            {"role": "assistant", "time": 50.0, "content": said},
            {"role": "frames", "start": 100, "end": 130},
            {"role": "user", "time": 65.0, "content": said},
        ]
    )
    renderer = Words("Help.", 1, 0)
    rule = CutRule(back_s=(5.0, 5.0), utterances_only=True)
    # 2 words of prompt, 100 frames, 4 words a turn
    (clip,) = cut(stream, renderer, 110, 0, rule)
    assert (clip.start_frame, clip.stop_frame, clip.events) == (0, 100, stream.events[:2])
    (clip,) = cut(stream, renderer, 109, 0, rule)
    assert (clip.start_frame, clip.stop_frame, clip.events) == (90, 100, stream.events[1:2])
    assert cut(stream, renderer, 14, 0, rule) == [clip]
    with pytest.raises(ConfigError, match="13 tokens don't hold"):
        cut(stream, renderer, 13, 0, rule)
    ours = cut(stream, renderer, 109, 0, PROSPECT)
    assert [event for one in ours for event in one.events] == list(stream.events)
