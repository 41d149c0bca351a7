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

from prospect.errors import ConfigError
from prospect.frames.encoders import num_vectors
from prospect.model import backbone
from prospect.model.attention import clip_bounds
from prospect.model.config import ModelConfig, ProjectorKind
from prospect.model.decide import SPEAK, Openers, make_heads, token_odds
from prospect.model.headers import OwnHeaders
from prospect.model.point import Matcher, Pointer
from prospect.model.slots import Slots
from prospect.pretrained import model_folder
from prospect.samples.sequence import Renderer

_ROWS_AT_ONCE = 256  # whose logits over the vocabulary are in memory: 130 MB at 128k tokens


class Projector(nn.Module):
    """Two-layer MLP, or one linear layer, from encoder vectors to the LLM's embedding space.

    Vectors are standardised by the training data's statistics (`fit`): an encoder's dimensions
    differ in mean and scale by far more than one frame differs from the next. The output starts
    at the scale of the word embeddings (``output_rms``): a freshly initialised layer's is several
    times larger and drowns the words for the first hundred steps. With ``residual`` it is added
    to the vectors themselves, of width D already, and starts at zero.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, feature_dim: int, hidden_dim: int, output_rms: float, kind: ProjectorKind = "mlp"
    ) -> None:
        super().__init__()
        residual = kind == "residual"
        if residual and feature_dim != hidden_dim:
            raise ConfigError(
                f"projector is residual, but the encoder's vectors have {feature_dim} numbers and "
                f"the LLM's words {hidden_dim}; choose mlp, or the encoder the LLM grew up with"
            )
        self._residual = residual
        self.register_buffer("mean", torch.zeros(feature_dim))
        self.register_buffer("std", torch.ones(feature_dim))
        self.up = nn.Linear(feature_dim, hidden_dim)
        self.down = None if kind == "linear" else nn.Linear(hidden_dim, hidden_dim)
        self.scale = nn.Parameter(torch.tensor(0.0 if residual else output_rms))
        self.output_norm = nn.LayerNorm(hidden_dim)

    def fit(self, features: Tensor) -> None:
        """Take mean and deviation from (N, E) training vectors."""
        self.mean = features.float().mean(0)
        # a dimension that never moves says nothing; the floor keeps it from being blown up
        self.std = features.float().std(0, correction=0).clamp(min=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        """(..., E) -> (..., D)."""
        hidden = self.up((features - self.mean) / self.std)
        if self.down is not None:
            hidden = self.down(nn.functional.gelu(hidden))
        normed: Tensor = self.output_norm(hidden)
        projected = self.scale * normed
        return features + projected if self._residual else projected


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
        matcher = Matcher(hidden_dim, output_rms) if matches else None
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
        self.feature_dim, self.hidden_dim = feature_dim, hidden_dim

    def embed(self, ids: Tensor, features: Tensor) -> tuple[Tensor, Tensor | None]:
        """Token embeddings with the frame vectors in place.

        Args:
            ids: (B, L) token ids.
            features: (N, P, E), in reading order of the image tokens in ``ids``.

        Returns:
            (B, L, D), and with `write: match` what is matched, (B, L, D) fp32: at a frame's tokens
            the mean of its vectors, elsewhere the sum of the words of the line so far.
        """
        words: Tensor = self.llm.get_input_embeddings()(ids)
        if self.own_headers is not None:
            words = self.own_headers.embed(ids, words)
        vectors: Tensor = self.projector(features.to(self.projector.up.weight.dtype))
        frames = (ids == self.image_id)[..., None]
        embedded = words.masked_scatter(frames, vectors.to(words.dtype))
        if not len(self.breaks):
            return embedded, None
        lines = line_sums(words.float(), torch.isin(ids, self.breaks))
        means = vectors.float().mean(1, keepdim=True).expand_as(vectors)
        return embedded, lines.masked_scatter(frames, means)

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
            (B, L, D) after the final norm; with `write: match` (B, L, 2 D), the second half being
            what is matched (`embed`).
        """
        embedded, matched = self.embed(ids, features)
        if rows is None and positions is not None:
            rows = clip_bounds(positions)
        outputs = self.llm.base_model(
            inputs_embeds=embedded,
            attention_mask=rows,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: Tensor = outputs.last_hidden_state
        return hidden if matched is None else torch.cat([hidden.float(), matched], -1)

    def decisions(self, hidden: Tensor) -> Tensor:
        """(..., D) at a frame's last token -> (..., 2) log-odds of `SPEAK` and `UPDATE`, fp32."""
        hidden = hidden[..., : self.hidden_dim]
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
        head, hidden = self.llm.get_output_embeddings(), hidden[..., : self.hidden_dim]
        logits: Tensor = head(hidden.to(head.weight.dtype))
        if self.own_headers is not None:
            logits = self.own_headers.score(hidden, logits)
        return logits.float()

    def trainable_state(self) -> dict[str, Tensor]:
        """Name -> weight of all that is learned from data; what a checkpoint holds."""
        trained = {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}
        return trained | {f"projector.{name}": b for name, b in self.projector.named_buffers()}

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
