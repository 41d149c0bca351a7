"""Headers of one token that the vocabulary reserves, for `roles: tokens`.

In: word embeddings and next-token logits of the LLM. Out: the same with the rows of these tokens
replaced by learned ones: nothing was ever trained for a reserved token, and in some models they
all have about the same row, so that frozen they could not be told apart.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn


class OwnHeaders(nn.Module):
    """Learned rows of K tokens.

    Args:
        words: (V, D) word embeddings of the LLM.
        outputs: (V, D) rows of its output layer.
        spelled: Token id -> the ids of a word that says the same; the rows begin as their mean.
    """

    ids: Tensor

    def __init__(
        self, words: Tensor, outputs: Tensor, spelled: Mapping[int, Sequence[int]]
    ) -> None:
        super().__init__()
        self.register_buffer("ids", torch.tensor(list(spelled)), persistent=False)
        self.words = nn.Parameter(_means(words, spelled))
        self.outputs = nn.Parameter(_means(outputs, spelled))

    def embed(self, ids: Tensor, words: Tensor) -> Tensor:
        """Put the learned rows in place: (B, L) ids and their (B, L, D) embeddings -> (B, L, D)."""
        for token, row in zip(self.ids, self.words, strict=True):
            words = torch.where((ids == token)[..., None], row.to(words.dtype), words)
        return words

    def score(self, hidden: Tensor, logits: Tensor) -> Tensor:
        """Put the learned rows' logits in place: (..., D) and (..., V) -> (..., V)."""
        scores = hidden.to(self.outputs.dtype) @ self.outputs.T
        return logits.index_copy(-1, self.ids, scores.to(logits.dtype))


def _means(rows: Tensor, spelled: Mapping[int, Sequence[int]]) -> Tensor:
    return torch.stack([rows[list(ids)].detach().float().mean(0) for ids in spelled.values()])
