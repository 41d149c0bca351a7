"""How well each block of a video fits each step of its task, as log-probabilities.

In: texts of blocks in order of time, names of steps in listed order, a sentence embedder. Out: a
matrix (N, M + 1) of nats whose last column is "none of the steps". Nothing is learned from other
videos; three things are estimated from the video itself:

- which words tell its steps apart (words in few of its texts count more);
- how popular each step's name is with every text: a general name ("Cook it") is near to all of
  them, which says nothing. Each step gets a bonus so that all are expected about equally often
  (optimal transport by Sinkhorn's scaling, Cuturi 2013, arXiv 1306.0895; damped, so that a step
  that nothing fits may stay rare, Chizat et al. 2018, arXiv 1607.05816);
- how far the listed order can be trusted: the variance of a block's place in the video about its
  step's place in the list, compared with that of a list that says nothing.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import logsumexp

from prospect.embeddings import Embed

Floats = npt.NDArray[np.float64]

_WORD = re.compile(r"[a-z]{3,}")
_STEM = 5
"""Letters of a word that count: "chopped" pairs with "chopping", "potato" with its plural."""
_ROUNDS = 3
"""Estimates of the trust in the listed order; later ones hardly differ."""
_SCALINGS = 20
"""Steps of Sinkhorn's iteration; what is left then is far below what a block's text decides."""


def similarity(
    texts: Sequence[str], names: Sequence[str], embed: Embed, word_weight: float
) -> Floats:
    """Cosine of embeddings plus ``word_weight`` times cosine of weighted words, (N, M).

    Args:
        texts: N >= 1 texts.
        names: M >= 1 names.
        word_weight: >= 0; values are in [-1, 1 + word_weight].
    """
    vectors = embed([*texts, *names]).astype(np.float64)
    cosines: Floats = vectors[: len(texts)] @ vectors[len(texts) :].T
    return cosines + word_weight * _shared_words(texts, names)


def _shared_words(texts: Sequence[str], names: Sequence[str]) -> Floats:
    """Cosine of sets of words, each weighted by its rarity among all these texts, (N, M)."""
    sets = [{word[:_STEM] for word in _WORD.findall(text.lower())} for text in (*texts, *names)]
    count = Counter(word for words in sets for word in words)
    column = {word: index for index, word in enumerate(sorted(count))}
    matrix = np.zeros((len(sets), len(column)))
    for row, words in enumerate(sets):
        for word in words:
            matrix[row, column[word]] = np.log((len(sets) + 1) / (count[word] + 0.5))
    length = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit = np.divide(matrix, length, out=np.zeros_like(matrix), where=length > 0)
    shared: Floats = unit[: len(texts)] @ unit[len(texts) :].T
    return shared


def log_probs(
    similarities: Floats, none_similarity: float, temperature: float, balance: float
) -> Floats:
    """Log-probabilities of the steps, and of none of them, for every block, (N, M + 1).

    Args:
        similarities: (N, M), blocks in order of time, steps in listed order; N, M >= 1.
        none_similarity: Of every block to "none of the steps".
        temperature: Similarity that is worth one nat, > 0.
        balance: From 0, take similarities as they are, to 1, expect every step equally often.
    """
    scores = similarities / temperature
    none = np.full((len(scores), 1), none_similarity / temperature)
    apart = _squared_distance(*scores.shape)
    found = _scaled(scores, none, balance)
    for _ in range(_ROUNDS):
        found = _scaled(scores - _trust(found[:, :-1], apart) * apart, none, balance)
    return found


def _squared_distance(num_blocks: int, num_steps: int) -> Floats:
    """Of a block's place in the video to a step's place in the list, both in (0, 1): (N, M)."""
    block = (np.arange(num_blocks) + 0.5) / num_blocks
    step = (np.arange(num_steps) + 0.5) / num_steps
    distance: Floats = (block[:, None] - step[None, :]) ** 2
    return distance


def _scaled(scores: Floats, none: Floats, balance: float) -> Floats:
    """Add to each step what makes all about equally likely; rows with "none" are distributions."""
    num_steps = scores.shape[1]
    bonus = np.zeros(num_steps)
    for iteration in range(_SCALINGS + 1):
        raw = np.concatenate([scores + bonus, none], axis=1)
        found: Floats = raw - logsumexp(raw, axis=1, keepdims=True)
        if iteration < _SCALINGS:
            mass = logsumexp(found[:, :-1], axis=0)
            bonus = balance * (bonus - (mass - logsumexp(mass) + np.log(num_steps)))
    return found


def _trust(found: Floats, apart: Floats) -> float:
    """Nats that a squared distance of 1 costs: 0 for a list that says nothing of the order.

    The log-likelihood ratio of two normal distributions about the listed place: one as wide as
    the blocks seem to be spread, and one as wide as if every block could be of any step.
    """
    weight = np.exp(found - found.max())
    grain: float = 1 / (
        12 * found.shape[1] ** 2
    )  # variance within a step's own stretch of the list
    seen = float((weight * apart).sum() / weight.sum()) + grain
    blind = float(apart.mean()) + grain
    return max(0.0, 0.5 / seen - 0.5 / blind)
