"""Token decisions and the choice of transitions, by hand."""

import math

import pytest
import torch
from torch import Tensor

from prospect.model.decide import Openers, make_heads, token_odds, token_targets
from prospect.model.headers import OwnHeaders
from prospect.model.network import line_sums
from prospect.model.point import Matcher, Pointer
from prospect.model.projector import Projector
from prospect.samples.labels import ACT, SILENT, UNLABELLED

END, ASSISTANT, STATE = 1, 2, 4
OWN = Openers(END, ASSISTANT, STATE)
CHAT = Openers(END, ASSISTANT, ASSISTANT)


def logits(p: list[float]) -> Tensor:
    return torch.tensor(p).log() + 3.0  # any constant


def test_token_probabilities_by_hand() -> None:
    p = [0.1, 0.4, 0.3, 0.1, 0.1]
    # acts with .6, of which .3 : .1 are speech : state
    found = token_odds(logits(p), OWN).sigmoid().tolist()
    assert found == pytest.approx([0.6 * 0.75, 0.6 * 0.25])
    assert token_odds(logits(p), CHAT).sigmoid().tolist() == pytest.approx([0.6, 0.0])


def test_speak_update_and_silence_add_up_to_one() -> None:
    random = torch.randn(50, 7, generator=torch.Generator().manual_seed(0)) * 4
    acting = token_odds(random, OWN).sigmoid().sum(-1)
    torch.testing.assert_close(acting + random.softmax(-1)[:, END], torch.ones(50))


@pytest.mark.parametrize("openers", [OWN, CHAT])
def test_certain_distributions_give_no_nan(openers: Openers) -> None:
    sure = torch.full((3, 5), -300.0)
    sure[0, END] = sure[1, ASSISTANT] = sure[2, STATE] = 300.0
    found = token_odds(sure, openers).sigmoid()
    expected = {OWN: [[0, 0], [1, 0], [0, 1]], CHAT: [[0, 0], [1, 0], [1, 0]]}[openers]
    assert found.tolist() == expected


def test_token_targets_by_hand() -> None:
    labels = torch.tensor(
        [
            [SILENT, SILENT],
            [ACT, SILENT],  # one position: speech opens there, so the update's target is speech too
            [ACT, ACT],
            [SILENT, ACT],
            [UNLABELLED, SILENT],
        ]
    )
    assert token_targets(labels, OWN).tolist() == [
        [END, END],
        [ASSISTANT, ASSISTANT],
        [ASSISTANT, STATE],
        [END, STATE],
        [END, END],
    ]


def test_gradients_of_token_odds() -> None:
    random = torch.randn(3, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    random.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: token_odds(x, OWN), (random,))


def test_mlp_heads_have_a_hidden_layer() -> None:
    linear, mlp = make_heads("linear", 8), make_heads("mlp", 8)
    assert sum(w.numel() for w in linear.parameters()) == 8 * 2 + 2
    assert sum(w.numel() for w in mlp.parameters()) == 8 * 8 + 8 + 8 * 2 + 2
    assert mlp(torch.zeros(3, 4, 8)).shape == linear(torch.zeros(3, 4, 8)).shape == (3, 4, 2)


ALL = torch.ones(2, 1 + 3 * 3, dtype=torch.bool)


def test_pointer_scores_by_hand() -> None:
    torch.manual_seed(0)
    pointer = Pointer(6)
    query, steps = torch.randn(2, 6), torch.randn(2, 3, 6)
    scores = pointer(query, steps, ALL)
    assert scores.shape == (2, 1 + 3 * 3)
    for q in range(2):
        wanted = pointer.query(query[q]).view(3, 64)
        assert scores[q, 0].item() == pytest.approx(pointer.stop(query[q]).item())
        for step in range(3):
            for move in range(3):
                expected = (wanted[move] @ pointer.key(steps[q, step])).item() / math.sqrt(64)
                assert scores[q, 1 + 3 * step + move].item() == pytest.approx(expected, abs=1e-6)


def matcher() -> Matcher:
    """From frames of 3 numbers to words of 4, whose numbers have a root mean square of .5."""
    torch.manual_seed(0)
    return Matcher(Projector(3, 4, 0.5, "linear"), 4, word_rms=0.5)


def test_hidden_states_choose_the_move_and_sight_the_step_by_hand() -> None:
    pointer = Pointer(4, matcher())
    assert pointer.weight is not None
    torch.nn.init.normal_(pointer.weight)
    query, seen = torch.randn(2, 4), torch.rand(2, 3, 2)
    scores = pointer(query, torch.randn(2, 3, 4), ALL, seen)
    assert scores.shape == (2, 1 + 3 * 3)
    for q in range(2):
        assert scores[q, 0].item() == pytest.approx(pointer.stop(query[q]).item())
        for step in range(3):
            by_sight = 50 * (pointer.weight * seen[q, step]).sum(1)
            expected = (pointer.query(query[q]) + by_sight).tolist()
            got = scores[q, 1 + 3 * step : 4 + 3 * step].tolist()
            assert got == pytest.approx(expected, abs=1e-5)


def test_the_first_step_of_the_list_that_a_move_is_legal_for() -> None:
    pointer = Pointer(4)
    query, steps, legal = torch.randn(2, 4), torch.randn(2, 3, 4), ALL.clone()
    legal[0, [1, 5, 8]] = False  # of the first query: start S1, complete S2, complete S3
    legal[1, 3::3] = False  # of the second: reopen anything
    before = pointer(query, steps, legal)
    assert before.isneginf().equal(~legal)
    with torch.no_grad():
        pointer.first.copy_(torch.tensor([0.1, 0.02, -0.04]))
    more = torch.where(legal, pointer(query, steps, legal) - before, 0).view(2, -1)
    expected = torch.zeros(2, 10)
    expected[0, [4, 2, 3]] = torch.tensor([5.0, 1.0, -2.0])  # start S2, complete S1, reopen S1
    expected[1, [1, 2]] = torch.tensor([5.0, 1.0])
    torch.testing.assert_close(more, expected, atol=1e-4, rtol=0)


def test_what_is_seen_now_and_lately_by_hand() -> None:
    looks = matcher()
    frames, texts = torch.randn(1, 3, 3), torch.randn(1, 3, 4)
    present, listed = torch.tensor([[False, True, True]]), torch.tensor([[True, True, False]])
    shares = []
    for frame in frames[0, 1:]:
        towards = looks.look(frame) / looks.look(frame).norm()
        # a line of 8 words of that size, none like another, has length 1
        alike = texts[0, :2] @ towards / (0.5 * math.sqrt(4 * 8))
        shares.append([*(math.exp(2.3) * alike).softmax(0).tolist(), 0.0])
    expected = [[shares[1][step], (shares[0][step] + shares[1][step]) / 2] for step in range(3)]
    torch.testing.assert_close(looks.seen(frames, present, texts, listed)[0], Tensor(expected))


def test_a_matcher_takes_the_same_texts_for_all() -> None:
    looks, frames, texts = matcher(), torch.randn(5, 3), torch.randn(6, 4)
    torch.testing.assert_close(looks(frames, texts), looks(frames, texts.expand(5, -1, -1)))


def test_sums_of_lines_by_hand() -> None:
    words = torch.tensor([[1.0, 2, 4, 8, 16], [1, 2, 4, 8, 16]])[..., None]
    breaks = torch.tensor([[False, True, False, False, True], [True, True, False, False, False]])
    expected = [[1, 3, 4, 12, 28], [1, 2, 4, 12, 28]]
    assert line_sums(words, breaks)[..., 0].tolist() == expected


def test_gradients_of_the_pointer() -> None:
    torch.manual_seed(0)
    pointer = Pointer(4).double()
    query = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    steps = torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True)
    taken = torch.tensor([1, 5])

    def loss(query: Tensor, steps: Tensor) -> Tensor:
        # fp32 scores are too coarse for finite differences
        wanted = pointer.query(query).unflatten(-1, (3, 64))
        scores = torch.einsum("qmr,qsr->qsm", wanted, pointer.key(steps)).flatten(1) / 8
        return torch.nn.functional.cross_entropy(scores, taken)

    assert torch.autograd.gradcheck(loss, (query, steps))
    torch.nn.functional.cross_entropy(pointer(query, steps, ALL)[:, 1:], taken).backward()
    found = query.grad
    (expected,) = torch.autograd.grad(loss(query, steps), query)
    assert found is not None
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)


def test_own_headers_take_the_place_of_reserved_rows() -> None:
    words = torch.arange(12.0).view(6, 2)
    outputs = -words
    headers = OwnHeaders(words, outputs, {3: [0, 1], 5: [2]})
    embedded = headers.embed(torch.tensor([[3, 4, 5]]), words[[3, 4, 5]][None])
    assert embedded.tolist() == [[[1, 2], [8, 9], [4, 5]]]
    hidden = torch.tensor([[1.0, 1.0]])
    scores = headers.score(hidden, hidden @ outputs.T)
    assert scores.tolist() == [[-1, -5, -9, -3, -17, -9]]
    (embedded.sum() + scores.sum()).backward()
    assert headers.words.grad is not None
    assert headers.outputs.grad is not None
