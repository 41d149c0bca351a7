"""What ProAssist's code learns of a conversation, and what we do: ``learn_ranges.json``."""

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from prospect.samples.labels import SILENT
from prospect.samples.negatives import subsample
from prospect.samples.sequence import NONE, Rendered, Renderer
from prospect.types import Clip
from tests.parity.proassist import as_clip, cases

SPECIAL = (
    *("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    "<image>",
)


@cache
def llama(tokens_per_frame: int) -> Renderer:
    """Llama-3's turns over single bytes, so that a token is a character or a marker."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    model.decoder = decoders.ByteLevel()
    model.add_special_tokens(list(SPECIAL))
    return Renderer(PreTrainedTokenizerFast(tokenizer_object=model), tokens_per_frame)


def pieces(renderer: Renderer, clip: Clip, system: str) -> tuple[list[str], Rendered, int]:
    """The text of each token, with ProAssist's system turn in place of ours; ours' length."""
    rendered = renderer.clip(clip)
    skipped = len(renderer.clip_prompt(clip))
    opening = ["<|begin_of_text|>", *_texts(renderer, renderer.turn("system", system))]
    return [*opening, *_texts(renderer, rendered.ids[skipped:].tolist())], rendered, skipped


def _texts(renderer: Renderer, ids: list[int]) -> list[str]:
    names = {i: t for t, i in renderer._tokenizer.get_vocab().items() if t in SPECIAL}
    return [names.get(i) or renderer._tokenizer.decode([i]) for i in ids]


@pytest.mark.parametrize("rate", ["0.1", "0.2", "0.5"])
def test_as_many_silent_frames(parity_dir: Path, rate: str) -> None:
    for case in cases(parity_dir, "learn_ranges.json"):
        clip, turns = as_clip(case["conversation"])
        rendered = llama(case["num_tokens_per_img"]).clip(clip)
        rng = np.random.default_rng(0)
        speak, _ = subsample(rendered.speak, rendered.update, float(rate), rng)
        first = clip.start_frame
        found = [int((speak[t.start - first : t.stop - first] == SILENT).sum()) for t in turns]
        assert found == case["silent_frames_learned_per_frames_turn"][rate], case["id"]


def test_the_same_characters(parity_dir: Path) -> None:
    for case in cases(parity_dir, "learn_ranges.json"):
        system = case["conversation"][0]["content"]
        clip, _ = as_clip(case["conversation"])
        renderer = llama(case["num_tokens_per_img"])
        texts, rendered, skipped = pieces(renderer, clip, system)
        shift = len(texts) - len(rendered.ids)
        if case["conversation"][-1]["role"] == "frames":  # the last decides on an unknown turn
            texts += ["<image>"] * renderer.tokens_per_frame
        digest = hashlib.sha256("".join(texts).encode()).hexdigest()
        assert digest == case["text_sha256"], case["id"]
        # of a turn all is learned; silence after a frame's last token, where the next frame begins
        learned = np.zeros(len(texts) - shift, bool)
        learned[: len(rendered.ids)] = rendered.targets != NONE
        learned[rendered.frame_ends[rendered.speak == SILENT] + 1] = True
        bounds = np.cumsum([0, *map(len, texts)])
        ours: set[int] = set()
        for at in np.flatnonzero(learned):
            assert at >= skipped
            ours |= set(range(bounds[at + shift], bounds[at + shift + 1]))
        theirs = {at for start, stop in case["learn_ranges"] for at in range(start, stop)}
        assert ours == theirs, case["id"]
