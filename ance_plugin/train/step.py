"""One step's loss and gradients, computed chunk by chunk, on any number of ranks.

The loss sees the vectors of all texts of a batch; the body sees one chunk at a time. Its gradient
reaches the weights through the gradients of the vectors (GradCache, Gao et al. 2021), so the
memory is that of one chunk when graphs are recomputed, and the result is the same when kept.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ance_plugin.encode.batching import pad
from ance_plugin.encode.device import Precision
from ance_plugin.encode.model import EncoderModel
from ance_plugin.train.batches import Batch
from ance_plugin.train.chunks import Chunk, Texts, assign_chunks, list_texts, plan_chunks
from ance_plugin.train.losses import Loss, score
from ance_plugin.train.ranks import Ranks


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a batch's scores say, over all ranks.

    Attributes:
        loss: Mean over queries, not multiplied by the weight.
        margin: Mean over queries of the positive's score less the best own negative's, before the
            temperature; NaN without negatives.
        accuracy: Share of queries whose positive scores above every document that counts; equal
            scores are a miss.
        num_tokens: Tokens encoded, without padding.
    """

    loss: float
    margin: float
    accuracy: float
    num_tokens: int


class EncodingStep:
    """Computes a batch's loss and adds its gradient to the weights'.

    Dropout is drawn per chunk from (seed, step, micro-batch, side, chunk): nothing random is
    carried from step to step, a recomputed chunk has the same masks, and so has any rank. The
    size of a chunk decides which texts share one; another size trains with other masks. Whether
    there is dropout is the model's mode, which is left as it is.

    Args:
        model: The encoder, on ``device``, its weights in float32.
        loss: What to make small.
        temperature: What scores are divided by before the loss.
        pad_id: The token id that fills up.
        device: Where the model is.
        precision: ``bf16`` computes the body under autocast; the rest and the weights are float32.
        chunk_tokens: Tokens a chunk at most, padding included. Ranks share whole chunks, so a
            batch should have several a rank.
        grad_cache: Encode twice, to keep one chunk's graph in memory and not all.
        seed: Of the whole training.
        ranks: The processes that share each batch.

    Raises:
        ValueError: The precision is fp16, or a number is not positive.
    """

    def __init__(  # noqa: PLR0913 - a training's fixed settings, by keyword
        self,
        model: EncoderModel,
        loss: Loss,
        *,
        temperature: float,
        pad_id: int,
        device: torch.device,
        precision: Precision,
        chunk_tokens: int,
        grad_cache: bool,
        seed: int,
        ranks: Ranks,
    ) -> None:
        if precision == "fp16":
            raise ValueError("fp16 gradients underflow without loss scaling; train in bf16 or fp32")
        if temperature <= 0:
            raise ValueError(f"temperature must be above 0, found {temperature}")
        if chunk_tokens < 1:
            raise ValueError(f"chunk_tokens must be at least 1, found {chunk_tokens}")
        self._model = model
        self._loss = loss
        self._temperature = temperature
        self._pad_id = pad_id
        self._device = device
        self._has_autocast = precision == "bf16"
        self._chunk_tokens = chunk_tokens
        self._grad_cache = grad_cache
        self._seed = seed
        self._ranks = ranks

    def run(self, batch: Batch, step: int, *, micro: int = 0, weight: float = 1.0) -> StepResult:
        """Add weight times the batch's gradient to the weights' ``grad``.

        On several ranks each adds the part of its own chunks: call ``Ranks.sum_gradients`` once
        after the step's last micro-batch.

        Args:
            batch: The same on all ranks.
            step: The step's number, part of the seed of its dropout.
            micro: The micro-batch's number within the step, another part.
            weight: One over the number of micro-batches.

        Returns:
            What the scores say, the same on all ranks.
        """
        texts = list_texts(batch)
        plan = plan_chunks(texts, len(batch.queries), chunk_tokens=self._chunk_tokens)
        shares = assign_chunks(plan, self._ranks.world_size)
        own = shares[self._ranks.rank]
        seeds = [_chunk_seed(self._seed, step, micro, chunk.side, chunk.number) for chunk in own]
        with _forked_rng(self._device):
            encoded = self._encode_ahead(texts, own, seeds)
            with self._keeping_casts():
                for place in range(len(encoded), len(own)):
                    encoded.append(self._encode(texts, own[place], seeds[place]))
                vectors = self._gather(encoded, shares, len(texts.tokens))
                result, gradients = self._differentiate(vectors, texts, batch, weight)
                while encoded:
                    states = encoded.pop()
                    place = len(encoded)
                    if not states.requires_grad:
                        states = self._encode(texts, own[place], seeds[place])
                    rows = torch.as_tensor(own[place].places, device=self._device)
                    torch.autograd.backward(states, gradients[rows])
        return result

    def _encode_ahead(
        self, texts: Texts, own: Sequence[Chunk], seeds: Sequence[int]
    ) -> list[Tensor]:
        """Encode without graphs what is encoded again; the last chunk never needs to be."""
        if not self._grad_cache:
            return []
        with torch.no_grad(), self._keeping_casts():
            return [
                self._encode(texts, chunk, seed)
                for chunk, seed in zip(own[:-1], seeds[:-1], strict=True)
            ]

    def _encode(self, texts: Texts, chunk: Chunk, seed: int) -> Tensor:
        """Give a chunk's vectors, (chunk's texts, d); pooling and head are not autocast."""
        rows, flags = pad([texts.tokens[place] for place in chunk.places], self._pad_id)
        ids = torch.from_numpy(rows).to(self._device, non_blocking=True)
        mask = torch.from_numpy(flags).to(self._device, non_blocking=True)
        _seed_dropout(self._device, seed)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._has_autocast):
            states = self._model.body(input_ids=ids, attention_mask=mask)[0]
        return self._model.finish(states, mask)

    def _keeping_casts(self) -> torch.autocast:
        """Keep the weights' bf16 copies until the end of the region, not of each chunk.

        Copies made without a graph must not meet a backward pass, so those have their own region.
        """
        return torch.autocast(self._device.type, torch.bfloat16, enabled=False)

    def _gather(
        self, encoded: Sequence[Tensor], shares: Sequence[Sequence[Chunk]], num_texts: int
    ) -> Tensor:
        """Put all ranks' vectors into the order of the texts, (n, d), as leaf of a new graph."""
        rows = torch.cat(
            [states.detach() for states in encoded]
            or [torch.empty(0, self._model.dimension, device=self._device)]
        )
        counts = [sum(len(chunk.places) for chunk in share) for share in shares]
        gathered = torch.cat(self._ranks.gather(rows, counts))
        order = np.concatenate([chunk.places for share in shares for chunk in share])
        vectors = torch.empty_like(gathered)
        vectors[torch.as_tensor(order, device=self._device)] = gathered
        return vectors.requires_grad_()

    def _differentiate(
        self, vectors: Tensor, texts: Texts, batch: Batch, weight: float
    ) -> tuple[StepResult, Tensor]:
        """Compute the loss, and its gradient with respect to the vectors, (n, d)."""
        pieces = torch.as_tensor(texts.pieces, device=self._device)
        mask = torch.as_tensor(texts.piece_mask, device=self._device)
        documents = vectors[pieces.flatten()].view(*pieces.shape, -1)
        scores = score(vectors[: len(batch.queries)], documents, mask)
        loss = self._loss(scores / self._temperature, batch)
        (gradients,) = torch.autograd.grad(loss * weight, vectors)
        num_tokens = sum(len(row) for row in texts.tokens)
        margin, accuracy = _judge(scores.detach(), batch)
        return StepResult(float(loss.detach()), margin, accuracy, num_tokens), gradients


def _judge(scores: Tensor, batch: Batch) -> tuple[float, float]:
    """Give the mean margin over the best own negative, and the share of positives on top."""
    values: NDArray[np.floating[Any]] = scores.cpu().numpy()
    positives = np.take_along_axis(values, batch.positives[:, None], axis=1)
    others = np.where(np.isneginf(batch.bias), -np.inf, values)
    np.put_along_axis(others, batch.positives[:, None], -np.inf, axis=1)
    accuracy = float((positives > others.max(axis=1, keepdims=True)).mean())
    if batch.negatives.shape[1] == 0:
        return float("nan"), accuracy
    negatives = np.take_along_axis(values, batch.negatives, axis=1)
    return float((positives[:, 0] - negatives.max(axis=1)).mean()), accuracy


def _chunk_seed(*parts: int | str) -> int:
    text = " ".join(map(str, parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


@contextmanager
def _forked_rng(device: torch.device) -> Iterator[None]:
    """Leave the global generators of the CPU and the device as they were."""
    if device.type == "cpu":
        with torch.random.fork_rng(devices=[]):
            yield
    else:
        module = torch.get_device_module(device)
        index = module.current_device() if device.index is None else device.index
        with torch.random.fork_rng(devices=[index], device_type=device.type):
            yield


def _seed_dropout(device: torch.device, seed: int) -> None:
    """Seed the CPU's generator and the device's own, not those of other GPUs."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type != "cpu":
        torch.get_device_module(device).manual_seed(seed)
