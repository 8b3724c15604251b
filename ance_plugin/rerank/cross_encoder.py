"""The cross-encoder that reranks: query and document in one sequence, a score out.

One output is the score as it is (``cross-encoder/ms-marco-MiniLM-L-6-v2``; the sigmoid that
sentence-transformers puts on it changes no order). Of two, as in monoBERT (Nogueira & Cho, 2019),
the second is "relevant", and the score is the logarithm of its softmax, as pygaggle has it
(castorini/pygaggle, ``pygaggle/rerank/transformer.py``, ``MonoBERT.rescore``).
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ance_plugin.encode.batching import plan_batches
from ance_plugin.encode.checkpoint import hash_weights
from ance_plugin.encode.cores import map_on_cores
from ance_plugin.encode.device import choose_device, choose_precision, torch_dtype
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.records import Document
from ance_plugin.rerank.classifier import (
    Classifier,
    choose_length,
    load_classifier,
    to_compute_type,
)
from ance_plugin.rerank.packed_classifier import PackedClassifier, can_pack
from ance_plugin.rerank.pairs import BestPassage, Pair, PairTokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH_SIZE = 64
TEMPLATE = "{title} {text}"
TEMPLATE_KEY = "ance_plugin_template"  # in config.json of what we train
_TOKENS_PER_BATCH = 16_384
_TOKENS_PACKED = 2048  # on a CPU: a topic's 100 passages make five batches, enough for two cores
_PROBES = (("Hello, World", "ÀÉÎ naïve 3.14"), ("日本語", "don't"), ("", ""))


class CrossEncoder:
    """Score pairs of query and document, in batches of like length.

    Args:
        classifier: What ``load_classifier`` gave; its model is moved and cast in place.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; None takes the best there is.
        precision: ``fp32``, ``bf16`` or ``fp16`` for the body; None takes bf16 where the device has
            instructions for it, else fp32. The classifier computes in float32.
        batch_size: Pairs a batch at most; long pairs go in smaller batches.
        max_length: Tokens of a pair, special tokens included; None is what the tokenizer states, at
            most 512.
        max_query_tokens: Tokens a query is cut to, without special tokens; None cuts the longer of
            query and document, which is the query only where it has more than half the tokens.
        template: How a document's title and text are joined; None is the checkpoint's, else
            "{title} {text}".

    Raises:
        FormatError: The tokenizer puts no two texts into one sequence.
        ValueError: The device, the precision or the length cannot be used here.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        device: str | None = None,
        precision: str | None = None,
        batch_size: int = BATCH_SIZE,
        max_length: int | None = None,
        max_query_tokens: int | None = None,
        template: str | None = None,
    ) -> None:
        model: Any = classifier.model
        self.name = classifier.name
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self.batch_size = batch_size
        self.num_labels = int(model.config.num_labels)
        template = template or getattr(model.config, TEMPLATE_KEY, None) or TEMPLATE
        self._texts = EncoderSettings(pooling="cls", template=template)
        self.pairs = PairTokenizer(
            classifier.tokenizer,
            max_length=choose_length(classifier, max_length),
            max_query_tokens=max_query_tokens,
            source=self.name,
        )
        self._weights_sha256 = hash_weights(model)
        self._tokenizer_sha256 = _hash_pairs(classifier.tokenizer)
        self._model = to_compute_type(model.to(self.device), torch_dtype(self.precision))
        self._model.train(mode=False)
        self._packed = PackedClassifier(self._model, has_types=self.pairs.has_types)

    @classmethod
    def load(cls, name: str, **options: Any) -> "CrossEncoder":  # noqa: ANN401 - __init__'s own types
        """Load a sequence classifier by folder or hub name.

        Args:
            name: See ``sources.find_checkpoint``.
            **options: This class's own arguments.

        Returns:
            The cross-encoder, ready to score.

        Raises:
            FileNotFoundError: There is no such checkpoint.
            FormatError: It is no classifier, or weights are missing.
            ValueError: It tells more than two classes apart.
        """
        classifier = load_classifier(name)
        classifier.model.requires_grad_(requires_grad=False)
        return cls(classifier, **options)

    @property
    def max_length(self) -> int:
        """Tokens of a pair, special tokens included."""
        return self.pairs.max_length

    def identify(self) -> dict[str, Any]:
        """Give what decides the scores, beside where and how precisely they are computed."""
        return {
            "weights_sha256": self._weights_sha256,
            "tokenizer_sha256": self._tokenizer_sha256,
            "num_labels": self.num_labels,
            "max_length": self.max_length,
            "max_query_tokens": self.pairs.max_query_tokens,
            "template": self._texts.template,
        }

    def score(
        self,
        queries: Sequence[str],
        documents: Sequence[Document],
        *,
        passage: BestPassage | None = None,
        on_progress: Callable[[int], object] | None = None,
    ) -> NDArray[np.float32]:
        """Score pairs, the first query with the first document, and so on.

        Args:
            queries: One text for each document.
            documents: One for each query; title and text are joined by the template.
            passage: How to lay out windows, the best of which is the score; None cuts a document
                to what fits.
            on_progress: Called after each batch with the number of windows in it, one a document
                without ``passage``.

        Returns:
            Shape (b,), float32; higher is better.

        Raises:
            ValueError: Lengths differ, or a score is not finite, as fp16 may overflow.
        """
        pairs, owners = self.make_pairs(queries, documents, passage=passage)
        scores = np.full(len(documents), -np.inf, dtype=np.float32)
        np.maximum.at(scores, owners, self.score_pairs(pairs, on_progress=on_progress))
        return scores

    def make_pairs(
        self,
        queries: Sequence[str],
        documents: Sequence[Document],
        *,
        passage: BestPassage | None = None,
    ) -> tuple[list[Pair], list[int]]:
        """Turn queries and documents into pairs of token ids; a text is tokenized once.

        Args:
            queries: One text for each document.
            documents: One for each query.
            passage: How to lay out windows; None makes one pair a document.

        Returns:
            Pairs, and the place of each one's document.

        Raises:
            ValueError: Lengths differ.
        """
        query_ids = self._tokenize_once(list(queries))
        document_ids = self.tokenize_documents(documents)
        pairs: list[Pair] = []
        owners: list[int] = []
        for place, ids in enumerate(zip(query_ids, document_ids, strict=True)):
            made = [self.pairs.join(*ids)] if passage is None else self.pairs.windows(*ids, passage)
            pairs += made
            owners += [place] * len(made)
        return pairs, owners

    def tokenize_documents(self, documents: Sequence[Document]) -> list[list[int]]:
        """Turn documents into token ids, title and text joined, whole and without special tokens.

        Args:
            documents: What to tokenize.
        """
        render = self._texts.render
        return self._tokenize_once([render(d.title, d.text) for d in documents])

    def score_pairs(
        self, pairs: Sequence[Pair], *, on_progress: Callable[[int], object] | None = None
    ) -> NDArray[np.float32]:
        """Score pairs of token ids; on a CPU batches go side by side, a core each.

        Args:
            pairs: What ``pairs.join`` made.
            on_progress: Called after each batch with the number of pairs in it.

        Returns:
            Shape (b,), float32.

        Raises:
            ValueError: A score is not finite.
        """
        scores = np.empty(len(pairs), dtype=np.float32)
        lengths = [len(pair.ids) for pair in pairs]
        is_packed = can_pack(self._model)
        if is_packed:
            self._packed.lay_out()
        is_on_cores = is_packed and self.device.type == "cpu"
        max_tokens = _TOKENS_PACKED if is_on_cores else _TOKENS_PER_BATCH
        batches = plan_batches(lengths, max_texts=self.batch_size, max_tokens=max_tokens)
        compute_each = map_on_cores if is_on_cores else map
        forward = self._forward_packed if is_packed else self._forward
        computed = compute_each(lambda batch: forward([pairs[i] for i in batch]), batches)
        for batch, found in zip(batches, computed, strict=True):
            scores[batch] = found
            if on_progress is not None:
                on_progress(len(batch))
        if not np.isfinite(scores).all():
            raise ValueError(
                f"{self.name}: scores are not finite in {self.precision}; use --precision fp32"
            )
        return scores

    @torch.inference_mode()
    def _forward(self, pairs: list[Pair]) -> NDArray[np.float32]:
        inputs = collate(pairs, self.pairs)
        on_device = {name: value.to(self.device) for name, value in inputs.items()}
        scores: NDArray[np.float32] = to_scores(self._model(**on_device)[0]).cpu().numpy()
        return scores

    @torch.inference_mode()
    def _forward_packed(self, pairs: list[Pair]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = to_scores(self._packed(pairs)).cpu().numpy()
        return scores

    def _tokenize_once(self, texts: list[str]) -> list[list[int]]:
        distinct = list(dict.fromkeys(texts))
        ids = dict(zip(distinct, self.pairs.tokenize(distinct), strict=True))
        return [ids[text] for text in texts]


def collate(pairs: Sequence[Pair], tokenizer: PairTokenizer) -> dict[str, torch.Tensor]:
    """Pad pairs at the right to the longest.

    Args:
        pairs: At least one.
        tokenizer: What made them.

    Returns:
        What the model takes, each of shape (b, t), int64.
    """
    width = max(1, *(len(pair.ids) for pair in pairs))
    ids = np.full((len(pairs), width), tokenizer.padding.ids[0], dtype=np.int64)
    types = np.full((len(pairs), width), tokenizer.padding.types[0], dtype=np.int64)
    mask = np.zeros((len(pairs), width), dtype=np.int64)
    for place, pair in enumerate(pairs):
        ids[place, : len(pair.ids)] = pair.ids
        types[place, : len(pair.ids)] = pair.types
        mask[place, : len(pair.ids)] = 1
    inputs = {"input_ids": ids, "attention_mask": mask}
    if tokenizer.has_types:
        inputs["token_type_ids"] = types
    return {name: torch.from_numpy(values) for name, values in inputs.items()}


def to_scores(logits: torch.Tensor) -> torch.Tensor:
    """Reduce logits, (b, 1) or (b, 2), to one float32 score a pair, (b,).

    The logarithm of the softmax of two is that of the sigmoid of their difference, written so that
    documents that are all but certain still have different scores.
    """
    if logits.shape[1] == 1:
        return logits[:, 0].float()
    scores: torch.Tensor = torch.nn.functional.logsigmoid(
        logits[:, 1].float() - logits[:, 0].float()
    )
    return scores


def _hash_pairs(tokenizer: "PreTrainedTokenizerBase") -> str:
    """Hash what the tokenizer does to a few pairs that tell tokenizers apart."""
    ids = [tokenizer(*probe, verbose=False)["input_ids"] for probe in _PROBES]
    return hashlib.sha256(json.dumps([len(tokenizer), ids]).encode()).hexdigest()
