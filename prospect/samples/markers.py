"""The tokens of a vocabulary that shape a sequence: turns, their ends, and what stands for images.

In: a tokenizer. Out: its `Markers`. A further chat format is a line of `_FORMATS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from prospect.errors import ConfigError

SequenceRole = Literal["system", "user", "assistant", "state"]

_FORMATS = {
    # marker in the vocabulary -> (turn header, end of turn, text before the first turn); the first
    # one that is there: SmolVLM2 has ChatML's markers too, and SmolLM3 those of Llama 3
    # SmolVLM2 writes <|im_start|> before the first turn only; here every turn has it, so that a
    # turn can't be forged by text, and begins with one token whoever speaks
    "<end_of_utterance>": ("<|im_start|>{Role}: ", "<end_of_utterance>", ""),
    # SmolLM2, SmolLM3, Qwen
    "<|im_start|>": ("<|im_start|>{role}\n", "<|im_end|>", ""),
    "<|start_header_id|>": (
        "<|start_header_id|>{role}<|end_header_id|>\n\n",
        "<|eot_id|>",
        "<|begin_of_text|>",
    ),
}
# the model's own, else one that it never learned anything for; Llama 3 reserves 0, 1, 2 ..., of
# which SmolLM3 has made 0 and 1 its own
_IMAGE_TOKENS = (
    "<image>",
    "<|image_pad|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_2|>",
    "<file_sep>",
)
# what state and assistant turns open with under `Layout.own_headers`, looked for likewise
_OWN_HEADERS: Mapping[SequenceRole, tuple[str, ...]] = {
    "state": ("<|reserved_special_token_3|>", "<|box_start|>", "<reponame>"),
    "assistant": ("<|reserved_special_token_4|>", "<|box_end|>", "<gh_stars>"),
}


@dataclass(frozen=True, slots=True)
class Markers:
    """What a model's vocabulary offers.

    Attributes:
        header: Opens a turn; a format string of ``role`` and ``Role``.
        begin: Text before the first turn.
        end_id: Ends a turn.
        image_id: Stands for one vector of a frame.
        own_headers: Roles whose whole header is one token of their own; may be empty.
    """

    header: str
    begin: str
    end_id: int
    image_id: int
    own_headers: Mapping[SequenceRole, int]


def find_markers(tokenizer: PreTrainedTokenizerBase, own_headers: bool) -> Markers:
    """The markers of a vocabulary, with headers of their own for state and assistant if asked for.

    Raises:
        ConfigError: something that is needed isn't there.
    """
    name, vocabulary = tokenizer.name_or_path, tokenizer.get_vocab()
    formats = [value for marker, value in _FORMATS.items() if marker in vocabulary]
    images = [token for token in _IMAGE_TOKENS if token in vocabulary]
    if not formats or not images:
        raise ConfigError(
            f"{name}: the vocabulary needs one of {', '.join(_FORMATS)} for "
            f"turns and one of {', '.join(_IMAGE_TOKENS)} for images; use an instruct model"
        )
    header, end, begin = formats[0]
    own: dict[SequenceRole, int] = {}
    for role, tokens in _OWN_HEADERS.items() if own_headers else ():
        present = [vocabulary[token] for token in tokens if token in vocabulary]
        if not present:
            raise ConfigError(
                f"{name}: roles: tokens needs one of {', '.join(tokens)} in the vocabulary; "
                "choose roles: chat"
            )
        own[role] = present[0]
    return Markers(header, begin, vocabulary[end], vocabulary[images[0]], own)
