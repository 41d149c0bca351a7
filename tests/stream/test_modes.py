"""Every way to decide and to write streams as it was trained, and stays legal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from prospect.model.checkpoint import Checkpoint
from prospect.model.losses import Batch, read
from prospect.model.teacher import probabilities
from prospect.samples.choices import STOP, column
from prospect.samples.dataset import collate
from prospect.samples.sequence import STATE_GEN
from prospect.states.transitions import fold, legal_moves
from prospect.stream.config import StreamConfig
from prospect.stream.predict import predict_stream, reference_fed
from prospect.types import Event, Transition
from tests.clips import random_stream
from tests.model.modes import MODES, loud_llm, mode_model
from tests.models import with_thresholds
from tests.stream.test_session import open_session, vectors


@pytest.fixture(scope="module")
def llm(tiny_llm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loud_llm(tiny_llm, tmp_path_factory.mktemp("loud_llm"))


@pytest.mark.parametrize("mode", MODES)
def test_forced_streams_have_the_probabilities_of_one_forward(llm: Path, mode: str) -> None:
    model = mode_model(llm, mode)
    clip = random_stream(3)
    session = open_session(model, clip, StreamConfig())
    results = session.advance(vectors(clip), reference_fed(clip))
    rendered = model.renderer.clip(clip)
    assert session.context.tokens == rendered.ids.tolist()
    expected = probabilities(model.network, rendered, vectors(clip))
    found = torch.tensor([[r.speak_prob, r.update_prob] for r in results])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)
    assert expected.std(0).min() > 1e-3  # not all the same
    moved = (rendered.speak_ends != rendered.frame_ends).sum()
    updating = sum(bool(event.transitions) for event in clip.events)
    assert moved == (updating if model.renderer.layout.cascade else 0)


def few_thresholds(model: Checkpoint, seed: int) -> Checkpoint:
    """Thresholds at which about one frame in ten acts."""
    stream = random_stream(seed, num_frames=200)
    silent = predict_stream(
        with_thresholds(model, 1.0, 1.0), stream, vectors, StreamConfig(), "silent"
    )
    return with_thresholds(
        model,
        float(np.quantile(silent.speak_prob, 0.9)),
        float(np.quantile(silent.update_prob, 0.9)),
    )


@pytest.mark.parametrize("mode", MODES)
def test_self_fed_streams_are_legal_and_the_same_in_chunks(llm: Path, mode: str) -> None:
    model = few_thresholds(mode_model(llm, mode, context_len=700), 1)
    stream = random_stream(1, num_frames=200)
    one, many = (
        predict_stream(model, stream, vectors, StreamConfig(max_chunk=size, max_new_tokens=8), "x")
        for size in (1, 32)
    )
    assert one.events == many.events
    assert one.refreshes == many.refreshes
    moves = [move for event in one.events for move in event.transitions]
    assert moves
    fold(stream.state, moves)  # an illegal one raises
    assert any(event.speech is not None for event in one.events)


@pytest.mark.parametrize("mode", MODES)
def test_no_update_fires_when_no_move_is_legal(llm: Path, mode: str) -> None:
    model = with_thresholds(mode_model(llm, mode), 1.0, 0.0)
    done = {step.id: "completed" for step in random_stream(0).task.steps}
    stream = replace(random_stream(0, num_frames=20), state=done, events=())
    assert predict_stream(model, stream, vectors, StreamConfig(), "x").events == ()


@pytest.mark.parametrize("mode", ["point", "match", "token, point"])
def test_streams_choose_what_the_scores_of_one_forward_choose(llm: Path, mode: str) -> None:
    model = mode_model(llm, mode)
    clip = random_stream(4, num_frames=200)
    rendered = model.renderer.clip(clip)
    batch = Batch(**collate([(rendered, vectors(clip))], model.renderer.end_id))
    with torch.inference_mode():
        scores = chosen_first(model, batch, may_stop=False)
        trained = chosen_first(model, batch, may_stop=True)
        readout = read(model.network, batch)
    firsts = first_choices(batch)
    right = readout.right[readout.kinds == STATE_GEN][firsts]
    assert torch.equal(right, torch.tensor(trained) == batch.choices[firsts, 3])
    session = open_session(model, clip, StreamConfig())
    video, at, step_ids = vectors(clip), 0, [step.id for step in clip.task.steps]
    for event in clip.events:
        session.advance(video[at : event.frame + 1], [None] * (event.frame + 1 - at))
        at = event.frame + 1
        if event.transitions:
            first = session.ask()[0]
            assert column(first, step_ids) == scores.pop(0)
        session.tell(event)
    assert not scores


def first_choices(batch: Batch) -> Tensor:
    """(Q,) bool: those at a frame, not after another transition."""
    return torch.isin(batch.choices[:, 2], batch.frame_ends[:, 1])


def chosen_first(model: Checkpoint, batch: Batch, may_stop: bool) -> list[int]:
    """The best legal option of every frame's first choice, by one forward over the clip."""
    assert model.network.pointer is not None
    hidden = model.network(batch.ids, batch.features)[0]
    found = []
    firsts = first_choices(batch)
    for end, options in zip(batch.choices[firsts, 2].tolist(), batch.options[firsts], strict=True):
        options = options.clone()
        options[STOP] = may_stop  # what is told to happen isn't declined
        seen = None if model.network.matcher is None else seen_slowly(model, batch, end)
        steps = hidden[batch.step_ends[:, :, 1]]
        scores = model.network.pointer(hidden[end][None], steps, options[None], seen)[0]
        found.append(int(scores.argmax()))
    return found


def seen_slowly(model: Checkpoint, batch: Batch, end: int) -> Tensor:
    """(1, S, 2) how likely each step is what the last frame shows, and the last 8 seconds."""
    network, matcher = model.network, model.network.matcher
    assert matcher is not None
    words, breaks = network.llm.get_input_embeddings().weight, network.breaks.tolist()
    lines = []
    for at in batch.step_ends[0, :, 1].tolist():
        line = []
        while batch.ids[0, at].item() not in breaks:
            line.append(words[batch.ids[0, at]])
            at -= 1
        lines.append(torch.stack(line).sum(0))
    video = batch.features[: int((batch.frame_ends[:, 1] <= end).sum())]
    shares = [matcher(frame.mean(0), torch.stack(lines)).softmax(0) for frame in video[-16:]]
    return torch.stack([shares[-1], torch.stack(shares).mean(0)], 1)[None]


@pytest.mark.parametrize("mode", ["point", "match"])
def test_a_network_that_points_may_decline(llm: Path, mode: str) -> None:
    model = with_thresholds(mode_model(llm, mode), 1.0, 0.0)
    stream = replace(random_stream(0, num_frames=20), events=())
    pointer = model.network.pointer
    assert pointer is not None
    torch.nn.init.constant_(pointer.stop.bias, 100)
    session = open_session(model, stream, StreamConfig())
    results = session.advance(vectors(stream))
    assert session.events == []
    assert [result.event for result in results] == [None] * 20
    assert session.context.tokens[-1] == model.renderer.frame()[-1]
    assert len(session.ask()) == 1  # told that something happened, it may not, but for a second
    never = open_session(model, stream, StreamConfig(decline_prob=1.0))
    never.advance(vectors(stream)[:1])
    assert len(never.events[0].transitions) == 1
    torch.nn.init.constant_(pointer.stop.bias, -100)
    eager = open_session(model, stream, StreamConfig())
    eager.advance(vectors(stream)[:1])
    assert len(eager.events[0].transitions) > 1


def test_step_lines_are_read_again_after_a_refresh(llm: Path) -> None:
    model = mode_model(llm, "point")
    network = model.network
    assert network.pointer is not None
    stream = replace(random_stream(2, num_frames=60), events=())
    video = vectors(stream)
    session = open_session(model, stream, StreamConfig())
    session.advance(video[:40], [None] * 40)
    session.tell(Event(39, (Transition("S2", "start"),)))
    session.reopen(session.prompt(()), list(video[36:40]))
    session.advance(video[40:], [None] * 20)
    prompt = model.renderer.prompt(stream.task, session.state, (), True, stream.dialogue_id)
    assert session.context.tokens[: len(prompt.ids)] == prompt.ids
    with torch.inference_mode():
        hidden = network(torch.tensor(session.context.tokens)[None], video[36:])[0]
        step_ids = [step.id for step in stream.task.steps]
        legal = {column(move, step_ids): move for move in legal_moves(session.state)}
        options = torch.zeros(1, 1 + 3 * len(step_ids), dtype=torch.bool)
        options[0, list(legal)] = True
        steps = hidden[prompt.step_ends][None]
        scores = network.pointer(hidden[-1][None], steps, options)[0]
    assert session.ask()[0] == legal[int(scores.argmax())]


def test_readouts_of_all_modes_have_a_loss_for_every_label(llm: Path) -> None:
    clip = random_stream(3)
    for mode in MODES:
        model = mode_model(llm, mode)
        rendered = model.renderer.clip(clip)
        batch = Batch(**collate([(rendered, vectors(clip))], model.renderer.end_id))
        with torch.inference_mode():
            found = read(model.network, batch)
        assert ((found.decision_losses > 0) == (batch.labels >= 0)).all()
        assert len(found.token_losses) == int((batch.targets[:, 1:] > 0).sum())
