"""The network: embed tokens, project frames, put them in place, run the LLM, decide.

In: token ids and frame vectors. Out: hidden states, from which decisions and next tokens are read.
Shapes: B batch, L tokens, N frames in the batch, P vectors a frame, E encoder width, D hidden.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoTokenizer
from transformers.cache_utils import Cache

from prospect.frames.encoders import num_vectors
from prospect.model import backbone
from prospect.model.attention import clip_bounds
from prospect.model.config import ModelConfig
from prospect.model.decide import SPEAK, Openers, make_heads, token_odds
from prospect.model.headers import OwnHeaders
from prospect.model.point import Matcher, Pointer
from prospect.model.projector import Projector
from prospect.model.slots import Slots
from prospect.pretrained import model_folder
from prospect.samples.sequence import Renderer

_ROWS_AT_ONCE = 256  # whose logits over the vocabulary are in memory: 130 MB at 128k tokens


class Network(nn.Module):
    """LLM with adapters, projector and the two decisions.

    Args:
        llm: A causal LM from `prospect.model.backbone`.
        config: Of the model.
        feature_dim: Width E of the frame vectors.
        renderer: Of the same configuration.
    """

    breaks: Tensor

    def __init__(self, llm: Any, config: ModelConfig, feature_dim: int, renderer: Renderer) -> None:
        super().__init__()
        # Any: what the library calls on its models is only partly typed
        self.llm = llm
        embeddings = llm.get_input_embeddings().weight
        hidden_dim = embeddings.shape[1]
        output_rms = embeddings.float().pow(2).mean().sqrt().item()
        self.projector = Projector(feature_dim, hidden_dim, output_rms, config.projector)
        heads = config.decision == "heads"
        self.decide = make_heads(config.head, hidden_dim) if heads else None
        matches = config.write == "match"
        matcher = None
        if matches:
            look = Projector(feature_dim, hidden_dim, output_rms, "linear")
            matcher = Matcher(look, hidden_dim, output_rms)
        self.pointer = Pointer(hidden_dim, matcher) if config.write != "generate" else None
        breaks = renderer.line_breaks() if matches else []
        self.register_buffer("breaks", torch.tensor(breaks, dtype=torch.long), persistent=False)
        self.own_headers = (
            OwnHeaders(
                embeddings,
                llm.get_output_embeddings().weight,
                {renderer.header(role)[0]: renderer.text(role) for role in renderer.own_roles},
            )
            if renderer.own_roles
            else None
        )
        self.openers = Openers(renderer.end_id, *renderer.openers)
        self.image_id = renderer.image_id
        self.feature_dim = feature_dim

    @property
    def matcher(self) -> Matcher | None:
        """What tells the listed steps apart by sight, with ``write: match``."""
        return None if self.pointer is None else self.pointer.matcher

    def fit(self, features: Tensor) -> None:
        """Take mean and deviation of the frame vectors from (N, E) training vectors."""
        self.projector.fit(features)
        if self.matcher is not None:
            self.matcher.look.fit(features)

    def embed(self, ids: Tensor, features: Tensor) -> Tensor:
        """Token embeddings with the frame vectors in place.

        Args:
            ids: (B, L) token ids.
            features: (N, P, E), in reading order of the image tokens in ``ids``.

        Returns:
            (B, L, D).
        """
        words: Tensor = self.llm.get_input_embeddings()(ids)
        if self.own_headers is not None:
            words = self.own_headers.embed(ids, words)
        vectors: Tensor = self.projector(features.to(self.projector.up.weight.dtype))
        frames = (ids == self.image_id)[..., None]
        return words.masked_scatter(frames, vectors.to(words.dtype))

    def line_words(self, ids: Tensor) -> Tensor:
        """(B, L) -> (B, L, D) fp32, the sum of the words of each token's line up to it."""
        words = self.llm.get_input_embeddings()(ids).float()
        return line_sums(words, torch.isin(ids, self.breaks))

    def forward(
        self,
        ids: Tensor,
        features: Tensor,
        cache: Cache | Slots | None = None,
        positions: Tensor | None = None,
        rows: Tensor | None = None,
    ) -> Tensor:
        """Hidden states of all tokens.

        Args:
            ids: (B, L). Rows may be padded at the end: attention is causal, so real tokens never
                see the padding.
            features: (N, P, E).
            cache: Keys and values of the tokens before; extended in place.
            positions: (B, L) of each token in its clip, for rows that hold several: where it
                restarts another clip begins, and no clip sees another. None: a row is one clip.
            rows: `prospect.model.slots.stream_rows` of a single row that holds the new tokens of
                several streams; their keys and values are in ``cache``.

        Returns:
            (B, L, D) after the final norm.
        """
        if rows is None and positions is not None:
            rows = clip_bounds(positions)
        outputs = self.llm.base_model(
            inputs_embeds=self.embed(ids, features),
            attention_mask=rows,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: Tensor = outputs.last_hidden_state
        return hidden

    def decisions(self, hidden: Tensor) -> Tensor:
        """(..., D) at a frame's last token -> (..., 2) log-odds of `SPEAK` and `UPDATE`, fp32."""
        if self.decide is not None:
            odds: Tensor = self.decide(hidden.to(next(self.decide.parameters()).dtype))
            return odds.float()
        rows = hidden.reshape(-1, hidden.shape[-1])
        parts = [
            token_odds(self.next_token_logits(rows[start : start + _ROWS_AT_ONCE]), self.openers)
            for start in range(0, max(len(rows), 1), _ROWS_AT_ONCE)
        ]
        return torch.cat(parts).view(*hidden.shape[:-1], 2)

    def decisions_at(self, hidden: Tensor, frame_ends: Tensor, speak_ends: Tensor) -> Tensor:
        """Decisions of N frames, speak where its label sits.

        Args:
            hidden: (B, L, D).
            frame_ends: (N, 2) row and position of each frame's last token.
            speak_ends: (N,) position at which speak is read, in the same row.

        Returns:
            (N, 2) log-odds.
        """
        rows, ends = frame_ends.unbind(1)
        odds = self.decisions(hidden[rows, ends])
        later = speak_ends != ends
        if not later.any():
            return odds
        speak, update = odds.unbind(1)
        again = self.decisions(hidden[rows[later], speak_ends[later]])[:, SPEAK]
        return torch.stack([speak.masked_scatter(later, again), update], 1)

    def next_token_logits(self, hidden: Tensor) -> Tensor:
        """(..., D) -> (..., V) logits in fp32."""
        head = self.llm.get_output_embeddings()
        logits: Tensor = head(hidden.to(head.weight.dtype))
        if self.own_headers is not None:
            logits = self.own_headers.score(hidden, logits)
        return logits.float()

    def trainable_state(self) -> dict[str, Tensor]:
        """Name -> weight of all that is learned from data; what a checkpoint holds."""
        own = {name for name in self.state_dict() if not name.startswith("llm.")}
        learned = {name for name, weight in self.named_parameters() if weight.requires_grad}
        return {name: w for name, w in self.state_dict().items() if name in own | learned}

    def merge_adapters(self) -> None:
        """Fold the adapters into the LLM's weights for inference; training on is then wrong."""
        backbone.merge_adapters(self.llm)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.projector.up.weight.device


def line_sums(words: Tensor, breaks: Tensor) -> Tensor:
    """Sums of the vectors of every token's line up to it.

    Args:
        words: (B, L, D).
        breaks: (B, L) bool, tokens that end a line; each is the last of its line.

    Returns:
        (B, L, D).
    """
    total = words.cumsum(1)
    places = torch.arange(1, words.shape[1] + 1, device=words.device)
    # how many tokens come before the line
    before = functional.pad(torch.where(breaks, places, 0).cummax(1).values, (1, -1))
    padded = functional.pad(total, (0, 0, 1, 0))
    return total - padded.gather(1, before[..., None].expand_as(total))


def build(config: ModelConfig, feature_dim: int, dtype: torch.dtype) -> tuple[Network, Renderer]:
    """A fresh network and its renderer from pretrained weights.

    Args:
        config: What to build.
        feature_dim: Width of the encoder's vectors.
        dtype: Of the LLM's weights that don't learn.

    Raises:
        MissingError, DataError: the LLM's weights are not at hand, or not whole.
        ConfigError: settings that the LLM can't have, or a tokenizer we can't use.
    """
    llm = backbone.load_llm(config, dtype)
    tokenizer = AutoTokenizer.from_pretrained(model_folder(config.llm))
    vectors = num_vectors(config.encoder, config.vectors_per_frame)
    renderer = Renderer(tokenizer, vectors, config.layout)
    return Network(llm, config, feature_dim, renderer), renderer
