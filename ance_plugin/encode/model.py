"""The siamese encoder: a transformer body, pooling, and ANCE's head where there is one.

ANCE FirstP (Xiong et al., ICLR 2021) is RoBERTa, the first token, Linear(hidden, 768), LayerNorm;
other bodies, mean pooling and no head make the encoders of sentence-transformers.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ance_plugin.encode.settings import Pooling

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class AnceHead(nn.Module):
    """Linear, then LayerNorm, named as in the original checkpoints.

    Args:
        hidden_size: Width of the body.
        dimension: Width of the vectors.
        layer_norm_eps: Added to the variance; the original leaves PyTorch's default.
    """

    def __init__(
        self, hidden_size: int, dimension: int = 768, layer_norm_eps: float = 1e-5
    ) -> None:
        super().__init__()
        self.embeddingHead = nn.Linear(hidden_size, dimension)
        self.norm = nn.LayerNorm(dimension, eps=layer_norm_eps)

    def forward(self, pooled: Tensor) -> Tensor:
        """Project pooled states, shape (b, h), to vectors, shape (b, d)."""
        projected: Tensor = self.norm(self.embeddingHead(pooled))
        return projected


class EncoderModel(nn.Module):
    """Token ids to vectors; pooling, head and normalisation are computed in float32.

    Args:
        body: A transformers encoder whose first output is (b, t, h).
        pooling: ``cls`` or ``mean``.
        head: ANCE's head, or None.
        is_normalized: Divide each vector by its length.
    """

    def __init__(
        self,
        body: "PreTrainedModel",
        pooling: Pooling,
        *,
        head: AnceHead | None = None,
        is_normalized: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.pooling = pooling
        self.head = head
        self.is_normalized = is_normalized

    @property
    def dimension(self) -> int:
        """Width of the vectors."""
        if self.head is not None:
            return self.head.embeddingHead.out_features
        return int(self.body.config.hidden_size)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode token ids, both (b, t) int64, to vectors, (b, d) float32."""
        states = self.body(input_ids=input_ids, attention_mask=attention_mask)[0]
        return self.finish(states, attention_mask)

    def finish(self, states: Tensor, attention_mask: Tensor) -> Tensor:
        """Turn the body's states, (b, t, h), into vectors, (b, d) float32."""
        return self.finish_pooled(pool(states, attention_mask, self.pooling))

    def finish_pooled(self, vectors: Tensor) -> Tensor:
        """Turn one float32 row a text, (b, h), into vectors, (b, d): head and normalisation."""
        if self.head is not None:
            vectors = self.head(vectors)
        if self.is_normalized:
            vectors = nn.functional.normalize(vectors, dim=-1)
        return vectors

    def to_compute_type(self, dtype: torch.dtype) -> "EncoderModel":
        """Hold the body's weights in ``dtype``; the head stays in float32."""
        nn.Module.to(self.body, dtype=dtype)
        return self


def pool(states: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """Reduce token states, (b, t, h), to one float32 row a text, (b, h)."""
    if pooling == "cls":
        return states[:, 0].float()
    weights = attention_mask.unsqueeze(-1).float()
    return (states.float() * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


def count_positions(body: "PreTrainedModel") -> int:
    """Count the tokens a body has positions for; RoBERTa's start after that of the padding."""
    positions = int(getattr(body.config, "max_position_embeddings", 512))
    padding = getattr(getattr(body, "embeddings", None), "padding_idx", None)
    return positions if padding is None else positions - int(padding) - 1
