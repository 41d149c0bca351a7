"""Scores of the wording of right pairs: BLEU, CIDEr and METEOR, as image captioning computes them.

In: (predicted, reference) texts, one reference each. Out: n-gram counts that add up (BLEU), or
a score of the whole list (CIDEr, METEOR). BLEU and CIDEr give the numbers of ``pycocoevalcap`` 1.2.
"""

import importlib.util
import math
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path

import numpy as np

from prospect.errors import MissingError
from prospect.metrics.pool import Floats, Metric, Pool, Stats, ratio, share
from prospect.metrics.ptb import tokenize

MAX_N = 4
_jaccard = share("speech_correct", "speech_pairs", "speech_missed", "speech_redundant")
_SIGMA = 6.0
"""Width of CIDEr-D's penalty on a difference in length (Vedantam et al. 2015, section 5)."""

Texts = Sequence[tuple[str, str]]
Tokens = tuple[str, ...]


def tokenized(texts: Texts) -> list[tuple[list[str], list[str]]]:
    """Tokens of both sides; pairs whose reference has none are left out, as ProAssist does."""
    pairs = [
        (_cached_tokens(hypothesis), _cached_tokens(reference)) for hypothesis, reference in texts
    ]
    return [pair for pair in pairs if pair[1]]


@cache
def _cached_tokens(text: str) -> list[str]:
    # the published scorers split at any space again, also at the hard one of "3 1/2"
    return " ".join(tokenize(text)).split()


def ngrams(tokens: Sequence[str], n: int) -> Counter[Tokens]:
    """How often each run of ``n`` tokens occurs."""
    return Counter(tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1))


def stats(texts: Texts) -> Stats:
    """Counts for BLEU: n-grams of the predictions, those also in the reference, lengths."""
    sums: dict[str, float] = {
        f"bleu_{key}{n}": 0 for key in ("said", "shared") for n in (1, 2, 3, 4)
    }
    sums |= {"bleu_said_len": 0, "bleu_due_len": 0}
    for hypothesis, reference in tokenized(texts):
        sums["bleu_said_len"] += len(hypothesis)
        sums["bleu_due_len"] += len(reference)
        for n in range(1, MAX_N + 1):
            said = ngrams(hypothesis, n)
            sums[f"bleu_said{n}"] += said.total()
            sums[f"bleu_shared{n}"] += (said & ngrams(reference, n)).total()
    return Stats(sums, {})


def bleu(pool: Pool, order: int) -> Floats:
    """BLEU of the corpus up to ``order``-grams (Papineni et al. 2002), (B,); NaN of no words."""
    precision = np.prod(
        [ratio(pool[f"bleu_shared{n}"], pool[f"bleu_said{n}"]) for n in range(1, order + 1)], axis=0
    )
    longer = ratio(pool["bleu_due_len"], pool["bleu_said_len"])
    brevity = np.exp(np.minimum(0.0, 1 - longer))
    score: Floats = precision ** (1 / order) * brevity
    return score


def cider(texts: Texts) -> float | None:
    """CIDEr (in the form CIDEr-D, Vedantam et al. 2015, arXiv 1411.5726) of a list of pairs.

    Document frequencies come from the references of the list itself; a list of one pair therefore
    scores 0. None of no pairs.
    """
    each = cider_each(tuple(texts))
    known = each[~np.isnan(each)]
    return float(known.mean()) if len(known) else None


@lru_cache(maxsize=4)
def cider_each(texts: tuple[tuple[str, str], ...]) -> Floats:
    """CIDEr of every pair, (n,), whose mean is that of the list; NaN of pairs that are left out."""
    tokens = [(tuple(_cached_tokens(said)), tuple(_cached_tokens(due))) for said, due in texts]
    pairs = Counter(pair for pair in tokens if pair[1])
    documents: Counter[Tokens] = Counter()
    for (_, due), count in pairs.items():
        for n in range(1, MAX_N + 1):
            for gram in ngrams(due, n):
                documents[gram] += count
    num_pairs = pairs.total()

    @cache
    def weighed(words: Tokens) -> list[dict[Tokens, float]]:
        """tf-idf of every n-gram, by n."""
        return [
            {
                gram: count * math.log(num_pairs / max(1, documents[gram]))
                for gram, count in ngrams(words, n).items()
            }
            for n in range(1, MAX_N + 1)
        ]

    @cache
    def one(said: Tokens, due: Tokens) -> float:
        # the length is counted in bigrams, as the published code does
        longer = max(len(said) - 1, 0) - max(len(due) - 1, 0)
        alike = sum(map(_clipped_cosine, weighed(said), weighed(due)))
        return 10 / MAX_N * alike * math.exp(-(longer**2) / (2 * _SIGMA**2))

    return np.array([one(said, due) if due else math.nan for said, due in tokens], np.float64)


def _clipped_cosine(said: dict[Tokens, float], due: dict[Tokens, float]) -> float:
    norm = math.hypot(*said.values()) * math.hypot(*due.values())
    # in the order of the text: that of a set differs between processes, and with it the last bit
    shared = sum(min(said[gram], due[gram]) * due[gram] for gram in said if gram in due)
    return shared / norm if norm else 0.0


def meteor_jar() -> Path:
    """METEOR 1.5 as ``pycocoevalcap`` ships it.

    Raises:
        MissingError: no such package, or no ``java``.
    """
    spec = importlib.util.find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations:
        raise MissingError("METEOR needs the package pycocoevalcap: `pip install pycocoevalcap`")
    if shutil.which("java") is None:
        raise MissingError("METEOR needs `java` on the PATH; install a Java runtime (8 or later)")
    return Path(spec.submodule_search_locations[0]) / "meteor" / "meteor-1.5.jar"


def meteor(lists: Sequence[Texts]) -> list[float | None]:
    """METEOR 1.5 (Denkowski and Lavie 2014) of lists of pairs; None of a list without pairs.

    Raises:
        MissingError: see `meteor_jar`.
    """
    jar = meteor_jar()
    # -Xmx2G: its paraphrase table; -norm would tokenize what is tokenized already, as COCO does
    command = ["java", "-Xmx2G", "-jar", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"]
    with subprocess.Popen(
        command,
        cwd=jar.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as java:

        def ask(question: str, num_lines: int) -> str:
            """The last line of the answer."""
            assert java.stdin is not None
            assert java.stdout is not None
            java.stdin.write(question + "\n")
            java.stdin.flush()
            return [java.stdout.readline().strip() for _ in range(num_lines)][-1]

        @cache
        def counts(said: str, due: str) -> str:
            return ask(f"SCORE ||| {due} ||| {said}", 1)

        scores: list[float | None] = []
        for texts in lists:
            found = [counts(" ".join(said), " ".join(due)) for said, due in tokenized(texts)]
            # one line for each pair, then the total
            total = ask(" ||| ".join(["EVAL", *found]), len(found) + 1) if found else None
            scores.append(None if total is None else float(total))
    return scores


def _cider_of(pool: Pool) -> Floats:
    """CIDEr with each pair counting as often as its video, (B,).

    Document frequencies stay those of all pairs: in a draw of videos, as outside of it, how rare
    an n-gram is doesn't depend on which videos were drawn.
    """
    each = cider_each(pool.texts)
    known = ~np.isnan(each)
    num_videos = pool.weights.shape[1]
    totals = np.bincount(pool.text_videos[known], each[known], num_videos)
    counts = np.bincount(pool.text_videos[known], minlength=num_videos)
    return ratio(pool.weights @ totals, pool.weights @ counts.astype(np.float64))


def weighted(score: Callable[[Pool], Floats]) -> Callable[[Pool], Floats]:
    """The score times `speech_jaccard`, as ProAssist weighs what only right pairs are asked for."""
    return lambda pool: _jaccard(pool) * score(pool)


def _bleu_metrics() -> dict[str, Metric]:
    found = {}
    for order in range(1, MAX_N + 1):
        score = partial(bleu, order=order)
        found[f"bleu_{order}"] = Metric(score, True, f"BLEU-{order} of the right pairs")
        found[f"bleu_{order}_w"] = Metric(
            weighted(score), True, f"BLEU-{order} times speech_jaccard"
        )
    return found


METRICS: dict[str, Metric] = {
    **_bleu_metrics(),
    "cider": Metric(_cider_of, True, "CIDEr of the right pairs", None),
    "cider_w": Metric(weighted(_cider_of), True, "CIDEr times speech_jaccard", None),
}
