"""What the model has seen: tokens, their keys and values, and how more are added.

In: token ids and frame vectors. Out: hidden states. The cache always holds a prefix of `tokens`;
the rest waits for the next forward pass, so writing a turn never costs a pass of its own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from prospect.model.network import Network
from prospect.samples.sequence import Renderer


class Context:
    """One context of one stream.

    Args:
        network: In evaluation mode.
        renderer: Of the network.
        tokens: The prompt.

    Attributes:
        tokens: All token ids so far, in order; what training would have rendered.
    """

    def __init__(self, network: Network, renderer: Renderer, tokens: Sequence[int]) -> None:
        self._network = network
        self._renderer = renderer
        self._cache = DynamicCache(config=network.llm.config)
        self._no_frames = torch.empty(0, renderer.tokens_per_frame, network.feature_dim)
        self.tokens = list(tokens)

    def add(self, tokens: Sequence[int]) -> None:
        """Append tokens; they reach the model with the next forward pass."""
        self.tokens += tokens

    def look(self, vectors: Tensor) -> Tensor:
        """Append frames.

        Args:
            vectors: (K, P, E) of K >= 1 frames.

        Returns:
            (K, D) hidden state at each frame's last token.
        """
        size = self._renderer.tokens_per_frame
        self.add(self._renderer.frame() * len(vectors))
        hidden = self._forward(vectors)
        return hidden[-len(vectors) * size :][size - 1 :: size]

    def rewind(self, length: int) -> None:
        """Forget all but the first ``length`` tokens, as if the others had never been added."""
        beyond = self._cache.get_seq_length() - length
        if beyond > 0:
            self._cache.crop(-beyond)
        del self.tokens[length:]

    def read(self) -> Tensor:
        """(L, D) hidden states of the tokens that have not reached the model yet; no frames."""
        return self._forward(self._no_frames)

    def last_hidden(self) -> Tensor:
        """(D,) hidden state at the last token, which must not be a frame's."""
        return self.read()[-1]

    def _forward(self, vectors: Tensor) -> Tensor:
        device = self._network.device
        waiting = torch.tensor([self.tokens[self._cache.get_seq_length() :]], device=device)
        hidden: Tensor = self._network(waiting, vectors.to(device), self._cache)
        return hidden[0]
