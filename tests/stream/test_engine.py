"""Many streams in one engine do what each does alone."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from prospect.errors import ConfigError, DataError
from prospect.model import slots
from prospect.model.checkpoint import Checkpoint
from prospect.model.slots import stream_rows
from prospect.samples.sequence import Prompt
from prospect.stream.config import StreamConfig
from prospect.stream.context import Context
from prospect.stream.engine import Ask, make_engine, rounded_len
from prospect.stream.fed import predict_streams
from prospect.stream.predict import Viewer, predict_stream
from prospect.stream.session import Session
from prospect.stream.write import _greedy, draft
from prospect.types import Clip, Prediction
from tests.clips import random_stream
from tests.models import tiny_model, with_thresholds
from tests.stream.test_session import vectors


def eager(llm: Path, context_len: int = 700) -> Checkpoint:
    """Acts at about one frame in ten."""
    model = with_thresholds(tiny_model(llm, context_len=context_len), 1.0, 1.0)
    silent = predict_stream(model, random_stream(0, num_frames=200), vectors, StreamConfig(), "x")
    return with_thresholds(model, sorted(silent.speak_prob)[-20], sorted(silent.update_prob)[-20])


def together(
    model: Checkpoint, config: StreamConfig, streams: Sequence[Clip], num_slots: int
) -> dict[str, Prediction]:
    engine = make_engine(model, config, num_slots)
    viewer = Viewer(model, vectors, config, "x", False, engine)
    made = predict_streams(viewer, "self", [[stream] for stream in streams])
    return {prediction.dialogue_id: prediction for prediction in made}


@pytest.mark.parametrize("num_slots", [3, 16])
@pytest.mark.parametrize("policy", ["restate", "summarize", "drop_middle", "drop_all"])
def test_streams_side_by_side_equal_streams_alone(
    tiny_llm: Path, policy: str, num_slots: int
) -> None:
    model = eager(tiny_llm)
    config = StreamConfig(
        policy=policy,  # type: ignore[arg-type]
        max_new_tokens=8,
        max_summary_tokens=8,
        kept_tokens=128,
    )
    # of different lengths, so that slots are used again in mid-run
    streams = [random_stream(seed, num_frames=60 + 70 * seed) for seed in range(5)]
    found = together(model, config, streams, num_slots)
    assert len(found) == len(streams)
    assert any(prediction.refreshes for prediction in found.values())
    for stream in streams:
        plain = replace(config, max_chunk=1, max_draft=0)
        alone = predict_stream(model, stream, vectors, plain, "x")
        beside = found[stream.dialogue_id]
        assert beside.events == alone.events
        assert beside.refreshes == alone.refreshes
        torch.testing.assert_close(
            torch.tensor([beside.speak_prob, beside.update_prob]),
            torch.tensor([alone.speak_prob, alone.update_prob]),
            atol=2e-4,  # 1e-4 and the rounding to 4 digits
            rtol=0,
        )


def test_one_bad_stream_leaves_the_others_alone(tiny_llm: Path) -> None:
    model = eager(tiny_llm)
    config = StreamConfig(max_new_tokens=8)
    streams = [random_stream(seed, num_frames=80) for seed in range(3)]
    slow = replace(streams[1], fps=1.0)
    engine = make_engine(model, config, 2)
    viewer = Viewer(model, vectors, config, "x", False, engine)
    made: list[Prediction] = []
    with pytest.raises(DataError, match="1 frames/s"):
        made.extend(predict_streams(viewer, "self", [[streams[0]], [slow], [streams[2]]]))
    assert {one.dialogue_id: one.events for one in made} == {
        stream.dialogue_id: predict_stream(model, stream, vectors, config, "x").events
        for stream in (streams[0], streams[2])
    }


def test_slots_are_given_back(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    engine = make_engine(model, StreamConfig(), 1)
    task = random_stream(0).task
    session = Session(model, StreamConfig(), task, engine=engine)
    with pytest.raises(ConfigError, match="all 1 slots are taken"):
        Session(model, StreamConfig(), task, engine=engine)
    session.close()
    forgotten = Session(model, StreamConfig(), task, engine=engine)
    del forgotten
    Session(model, StreamConfig(), task, engine=engine)


def test_every_stream_that_failed_is_named(tiny_llm: Path) -> None:
    model = eager(tiny_llm)
    streams = [random_stream(seed, num_frames=30) for seed in range(4)]
    broken = [streams[0], replace(streams[1], fps=1.0), streams[2], replace(streams[3], fps=4.0)]
    engine = make_engine(model, StreamConfig(), 2)
    viewer = Viewer(model, vectors, StreamConfig(max_new_tokens=8), "x", False, engine)
    made = []
    with pytest.raises(DataError) as failed:
        made += list(predict_streams(viewer, "self", [[one] for one in broken]))
    first, *reasons = str(failed.value).splitlines()
    assert first == "2 of 4 streams failed; all others are done."
    assert [reason.split(": ")[0].strip() for reason in reasons] == [
        f"{streams[index].dialogue_id} from frame 0 on" for index in (1, 3)
    ]
    assert ["has 1 frames/s" in reasons[0], "has 4 frames/s" in reasons[1]] == [True, True]


def test_what_a_slot_held_before_is_not_seen(tiny_llm: Path) -> None:
    model = eager(tiny_llm)
    stream = random_stream(1, num_frames=50)
    engine = make_engine(model, StreamConfig(), 1)
    viewer = Viewer(model, vectors, StreamConfig(max_new_tokens=8), "x", False, engine)
    list(predict_streams(viewer, "self", [[random_stream(3, num_frames=150)]]))
    (found,) = predict_streams(viewer, "self", [[stream]])
    alone = predict_stream(model, stream, vectors, StreamConfig(max_new_tokens=8), "x")
    assert found.speak_prob == alone.speak_prob
    assert found.events == alone.events


def test_one_pass_over_ragged_streams_equals_a_pass_each(tiny_llm: Path) -> None:
    model = tiny_model(tiny_llm)
    engine = make_engine(model, StreamConfig(), 3)
    contexts = [Context(slot, Prompt(list(range(105, 120 + 9 * slot)), [])) for slot in range(3)]
    engine.forward([Ask(context, []) for context in contexts])
    for context, more in zip(contexts, ([130], [131, 132], list(range(140, 160))), strict=True):
        context.add(more)
    asks = [Ask(context, [len(context.tokens) - 1]) for context in contexts]
    hidden = engine.forward([*asks[1:], asks[0]])
    for context, found in zip([*contexts[1:], contexts[0]], hidden, strict=True):
        with torch.inference_mode():
            plain = model.network(torch.tensor([context.tokens]), torch.empty(0, 1, 12))[0, -1]
        torch.testing.assert_close(found[0], plain, atol=1e-4, rtol=1e-4)


def test_rows_are_of_few_lengths() -> None:
    assert [rounded_len(n) for n in (1, 9, 16, 17, 18, 31, 33, 36, 37, 65, 1001)] == [
        *(1, 9, 16, 18, 18, 32, 36, 36, 40, 72, 1024)
    ]
    lengths = range(1, 4097)
    assert all(n <= rounded_len(n) < n * 1.125 for n in lengths)
    assert len({rounded_len(n) for n in lengths}) == 16 + 8 * 8


@pytest.mark.parametrize("policy", ["restate", "drop_middle"])
def test_rows_that_are_filled_up_change_nothing(
    tiny_llm: Path, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = eager(tiny_llm)
    config = StreamConfig(policy=policy, max_new_tokens=8, kept_tokens=128)  # type: ignore[arg-type]
    streams = [random_stream(seed, num_frames=100 + 150 * seed) for seed in range(3)]
    plain = together(model, config, streams, 2)
    lengths: list[int] = []
    forward = model.network.forward

    def counted(ids: Tensor, *others: Any) -> Tensor:
        lengths.append(ids.shape[1])
        return forward(ids, *others)

    monkeypatch.setattr(model.network, "forward", counted)
    engine = make_engine(model, config, 2)
    assert not engine._rounds  # fp32
    engine._rounds = True
    viewer = Viewer(model, vectors, config, "x", False, engine)
    for one in predict_streams(viewer, "self", [[stream] for stream in streams]):
        assert one.events == plain[one.dialogue_id].events
        assert one.refreshes == plain[one.dialogue_id].refreshes
        torch.testing.assert_close(
            torch.tensor([one.speak_prob, one.update_prob]),
            torch.tensor([plain[one.dialogue_id].speak_prob, plain[one.dialogue_id].update_prob]),
            atol=2e-4,
            rtol=0,
        )
    assert len(lengths) > 100
    assert all(length == rounded_len(length) for length in lengths)


def test_a_full_slot_is_not_outgrown(tiny_llm: Path) -> None:
    engine = make_engine(tiny_model(tiny_llm), StreamConfig(context_len=40), 1)
    engine._rounds = True
    context = Context(0, Prompt(list(range(105, 142)), []))
    (whole,) = engine.forward([Ask(context, [36])])
    context.rewind(0)
    engine._rounds = False
    (plain,) = engine.forward([Ask(Context(0, Prompt(list(range(105, 142)), [])), [36])])
    torch.testing.assert_close(whole, plain, atol=1e-5, rtol=1e-5)
    assert rounded_len(37) == 40
    longer = Context(0, Prompt(list(range(105, 144)), []))
    engine._rounds = True
    assert engine.forward([Ask(longer, [38])])[0].shape == plain.shape


def test_a_sentence_has_no_markers(tiny_llm: Path) -> None:
    renderer = tiny_model(tiny_llm).renderer
    rows = torch.zeros(3, 49152)
    rows[0, [100, renderer.image_id]] = torch.tensor([1.0, 2.0])
    rows[1, [renderer.end_id, 101]] = torch.tensor([2.0, 1.0])
    rows[2, 102] = 1.0
    given = rows.clone()
    assert _greedy(rows, renderer) == [100, renderer.end_id, 102]
    assert _greedy(rows[1:], renderer, may_end=False) == [101, 102]
    assert torch.equal(rows, given)


def test_both_ways_to_attend_are_the_same() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    keys, values = draw(4, 2, 50, 8), draw(4, 2, 50, 8)
    streams = [(2, 10, 1), (0, 0, 7), (3, 30, 5)]
    query = draw(6, 13, 8)
    one = slots._one_by_one(query, keys, values, streams, 0.3)
    torch.testing.assert_close(one, slots._together(query, keys, values, streams, 0.3))
    # the slow way: the last query of the third stream over its 35 keys, two queries a key head
    scores = 0.3 * query[1, 12] @ keys[3, 0, :35].T
    torch.testing.assert_close(one[1, 12], scores.softmax(-1) @ values[3, 0, :35])
    assert stream_rows(streams).shape == (1, 1, 3, 3)


def test_a_draft_is_what_followed_the_last_time(tiny_llm: Path) -> None:
    renderer = tiny_model(tiny_llm).renderer
    end, image = renderer.end_id, renderer.image_id
    words = [100, 101, 102, 103, end, 300, 100, 101]
    assert draft(words, 8, renderer) == [102, 103, end]
    assert draft(words, 1, renderer) == [102]
    assert draft(words, 0, renderer) == []
    assert draft([100, 101, 102, image, 100, 101], 8, renderer) == [102]
    assert draft([100, 101, 107, 100, 101, 108, 100, 101], 1, renderer) == [108]
    assert draft([100, 101, 102], 8, renderer) == []
