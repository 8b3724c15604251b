"""What a negative of each strategy would teach: loss and gradient of single triples (figure 4)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ance_plugin.progress import track
from ance_plugin.train.batches import BatchSampler
from ance_plugin.train.corpus import Corpus
from ance_plugin.train.diagnostics import THIRDS, GradientNorms
from ance_plugin.train.negatives.samplers import generator
from ance_plugin.train.topics import TrainingTopics
from evaluation.negatives.strategies import RowPool, Rows

if TYPE_CHECKING:
    from ance_plugin.encode.checkpoint import Checkpoint

_ROUND_TRIPLES = 2


@dataclass(frozen=True, slots=True)
class Spread:
    """Values of triples: their mean, median, and what lies between 10% and 90% of them."""

    mean: float
    quantile_10: float
    median: float
    quantile_90: float


@dataclass(frozen=True, slots=True)
class Gradients:
    """What triples of one strategy say.

    Attributes:
        num_triples: How many there are, one a topic.
        loss: -log softmax of the positive over it and the negative, the paper's.
        bound: 1 - softmax of the positive: the loss's gradient with respect to the difference of
            the scores, by which every norm is bounded up to a factor that is the model's.
        norms: ``all``, ``lower``, ``middle``, ``upper`` -> norm of the gradient of one triple,
            whole and by thirds of the layers.
    """

    num_triples: int
    loss: Spread
    bound: Spread
    norms: dict[str, Spread]


class TripleMeter:
    """Measure triples with one checkpoint, without dropout; its weights do not change.

    Args:
        checkpoint: Of a model that nothing else uses; it is moved in place.
        corpus: The documents.
        device: Where to compute; None is the best there is.
        precision: Of the body, fp32 or bf16; None as in training.
        temperature: What scores are divided by; None as in training.
        is_chunked: Whether documents are taken in MaxP's chunks.
    """

    def __init__(
        self,
        checkpoint: "Checkpoint",
        corpus: Corpus,
        *,
        device: str | None,
        precision: str | None,
        temperature: float | None,
        is_chunked: bool,
    ) -> None:
        from ance_plugin.encode.device import choose_device, choose_precision
        from ance_plugin.train.assembly import find_chunk_tokens, find_temperature
        from ance_plugin.train.losses import pairwise_nll
        from ance_plugin.train.ranks import Ranks
        from ance_plugin.train.step import EncodingStep

        place = choose_device(device)
        self._model = checkpoint.model.to(place).eval()
        self._norms = GradientNorms(self._model)
        self._corpus = corpus
        self._temperature = find_temperature(temperature, checkpoint.settings)
        self._chunk_tokens = checkpoint.settings.max_document_tokens if is_chunked else None
        self._step = EncodingStep(
            self._model,
            pairwise_nll,
            temperature=self._temperature,
            pad_id=int(checkpoint.tokenizer.pad_token_id),
            device=place,
            precision=choose_precision(precision, place),
            chunk_tokens=find_chunk_tokens(place.type),
            grad_cache=False,
            seed=0,
            ranks=Ranks(0, 1, place),
        )

    def measure(
        self, topics: TrainingTopics, strategies: Mapping[str, Rows], *, seed: int
    ) -> dict[str, Gradients]:
        """Measure one triple of each topic for each strategy.

        Args:
            topics: The topics; of the positives each one's first is taken.
            strategies: Name -> rows of each topic's negatives; one is drawn, all alike.
            seed: Of the draw, which is a topic's own.

        Returns:
            Name -> what its triples say; without those that give no topic a negative.
        """
        found: dict[str, Gradients] = {}
        for name, negatives in track(strategies.items(), what="triples", total=len(strategies)):
            pool = _draw(topics, negatives, seed=seed)
            chosen = _keep(topics, pool)
            if len(chosen):
                found[name] = self._measure(chosen, pool)
        return found

    def _measure(self, topics: TrainingTopics, pool: RowPool) -> Gradients:
        sampler = BatchSampler(
            self._corpus,
            topics,
            batch_size=1,
            negatives_per_topic=1,
            in_batch_weight=0.0,
            chunk_tokens=self._chunk_tokens,
        )
        losses, bounds, norms = [], [], []
        for number in range(len(topics)):
            result = self._step.run(sampler.draw(number, pool), number)
            losses.append(result.loss)
            bounds.append(_logistic(-result.margin / self._temperature))
            norms.append(self._norms.measure())
            self._model.zero_grad(set_to_none=True)
        return Gradients(
            num_triples=len(topics),
            loss=_describe(losses),
            bound=_describe(bounds),
            norms={part: _describe([norm[part] for norm in norms]) for part in ("all", *THIRDS)},
        )


def choose_topics(topics: TrainingTopics, count: int, *, seed: int) -> list[int]:
    """Draw the numbers of some topics, ascending; all where there are no more."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(topics))[:count]
    return sorted(drawn.tolist())


def take(topics: TrainingTopics, places: Sequence[int]) -> TrainingTopics:
    """Give some of the topics."""
    return TrainingTopics(
        [topics.topics[place] for place in places],
        [topics.tokens[place] for place in places],
        [topics.positives[place] for place in places],
    )


def _draw(topics: TrainingTopics, negatives: Rows, *, seed: int) -> RowPool:
    rows = {}
    for topic, own in zip(topics.topics, negatives, strict=True):
        rng = generator(seed, _ROUND_TRIPLES, topic.qid)
        rows[topic.qid] = own[rng.integers(len(own), size=1)] if len(own) else own
    return RowPool(rows)


def _keep(topics: TrainingTopics, pool: RowPool) -> TrainingTopics:
    """Leave out topics without a negative, in whose place others would come twice."""
    return take(topics, [n for n, topic in enumerate(topics.topics) if pool.has_rows(topic.qid)])


def _logistic(value: float) -> float:
    small = math.exp(-abs(value))  # never overflows
    return (1.0 if value >= 0 else small) / (1.0 + small)


def _describe(values: Sequence[float]) -> Spread:
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9)).tolist()
    return Spread(float(np.mean(values)), low, middle, high)
