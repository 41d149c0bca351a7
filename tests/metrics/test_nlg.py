"""Tokens and text scores, against pycocoevalcap where it is installed."""

import math
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from prospect.metrics.nlg import METRICS, bleu, cider, cider_each, stats, tokenized
from prospect.metrics.pool import table
from prospect.metrics.ptb import tokenize

TEXTS = [
    ("Now attach the red wheel.", "Now, attach the red wheel to the axle."),
    ("Well done!", "Well done."),
    ("Take the blue one, it's longer.", "Take the longer one."),
    ("Stop. That is the wrong screw", "Don't use that screw."),
    ("No.", "Yes."),
]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("You can't, won't and cannot.", "you ca n't wo n't and can not"),
        ("It's the users' screw; we'll see.", "it 's the users screw we 'll see"),
        ("I'm gonna lemme", "i 'm gon na lem me"),
        (
            "\u201cHand-tighten\u201d it \u2014 don\u2019t force\u2026",
            "hand-tighten it do n't force",
        ),
        ("Add 1/2 cup (about 120 ml).", "add 1/2 cup -lrb- about 120 ml -rrb-"),
        ("Heat to 90 °C, i.e. 194.5 °F", "heat to 90 ° c i.e. 194.5 ° f"),
        ("It costs $5.50, 20% off", "it costs $ 5.50 20 % off"),
        ("Use screw No. 7, no. Not that.", "use screw no. 7 no not that"),
        ("Part U. is there. Then part U. Then", "part u. is there then part u then"),
        ("Wait!! What?? :)", "wait !! what ?? :-rrb-"),
        ("**Bold** at 3 p.m. 😊", "** bold ** at 3 p.m."),
        (
            "Fold 3 1/2 turns, leave 1/2-inch, add-1/8 cup",
            "fold 3\u00a01/2 turns leave 1/2-inch add-1 / 8 cup",
        ),
        ("Don't force it, OK?", "do n't force it ok"),
        ("?!", "?!"),
        ("... -- .", ""),
        ("", ""),
    ],
)
def test_tokens(text: str, tokens: str) -> None:
    """Expected tokens are what Stanford CoreNLP 3.4.1 answered, punctuation removed."""
    assert " ".join(tokenize(text)) == tokens


def test_pairs_without_a_reference_are_left_out() -> None:
    assert tokenized([("a", "..."), ("", "b")]) == [([], ["b"])]


def test_scores_equal_pycocoevalcap() -> None:
    scorers = pytest.importorskip("pycocoevalcap.bleu.bleu_scorer")
    ciders = pytest.importorskip("pycocoevalcap.cider.cider_scorer")
    theirs, their_cider = scorers.BleuScorer(n=4), ciders.CiderScorer()
    for said, due in tokenized(TEXTS):
        theirs += (" ".join(said), [" ".join(due)])
        their_cider += (" ".join(said), [" ".join(due)])
    pool = table([stats(TEXTS[:2]), stats(TEXTS[2:])], ["a", "b"]).plain()
    expected, _ = theirs.compute_score(option="closest")
    got = [float(bleu(pool, order)[0]) for order in (1, 2, 3, 4)]
    assert got == pytest.approx(expected, abs=1e-6)
    assert cider(TEXTS) == pytest.approx(float(their_cider.compute_score()[0]), abs=1e-9)


def test_bleu_by_hand() -> None:
    # "the cat" for "the cat sat": all n-grams shared, brevity exp(1 - 3/2)
    pool = table([stats([("the cat", "the cat sat")])], ["a"]).plain()
    assert bleu(pool, 2)[0] == pytest.approx(math.exp(-0.5))
    assert np.isnan(bleu(pool, 3)[0]), "no trigrams, no BLEU-3"


def test_nothing_to_score() -> None:
    assert cider([]) is None
    assert cider([("a", ".")]) is None
    assert np.isnan(bleu(table([stats([])], ["a"]).plain(), 1)[0])


def test_cider_of_drawn_videos_weighs_their_pairs() -> None:
    found_in = [replace(stats([pair]), texts=(pair,)) for pair in TEXTS]
    made = table(found_in, ["a", "b", "b", "c", "c"])
    each = cider_each(tuple(TEXTS))
    weights = np.array([[1.0, 1.0, 1.0], [2.0, 0.0, 0.0]])
    found = METRICS["cider"].function(made.pool(weights))
    assert found[0] == pytest.approx(np.nanmean(each))
    assert found[1] == pytest.approx(each[0])


def test_every_process_gives_the_same_bits() -> None:
    """A pack is refused for one bit, and the order of sets differs between processes."""
    code = """
from prospect.metrics.nlg import cider_each
words = "take the long red part from the table and put it on the frame of the big wheel".split()
pairs = [(words[n:] + words[:n], words[: 16 - n] + ["now", str(n)]) for n in range(12)]
print(cider_each(tuple((" ".join(said), " ".join(due)) for said, due in pairs)).tolist())
"""
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
        ).stdout
        for seed in range(4)
    }
    assert len(printed) == 1
