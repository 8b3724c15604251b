"""Our encoders as subclasses of Pyserini's, for code that is written against Pyserini.

Importing this module imports Pyserini, which starts a JVM; ``ance_plugin.jvm.start()`` must have
run where the machine's own Java is none that Pyserini can use. ``from ance_plugin import
AnceQueryEncoder`` sees to it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyserini.encode import DocumentEncoder, QueryEncoder

from ance_plugin.encode.encoder import Encoder
from ance_plugin.encode.queries import EncodedQueries, read_encoded_queries
from ance_plugin.records import Document

_PRF_TOKENS = 512


class AnceQueryEncoder(QueryEncoder):  # type: ignore[misc]
    """Encode queries as ``pyserini.encode.AnceQueryEncoder`` does, from any layout, in batches.

    Args:
        encoder_dir: Folder or hub name of a checkpoint.
        tokenizer_name: None or ``encoder_dir``: a checkpoint's tokenizer lies beside it.
        encoded_query_dir: Folder or file of queries encoded before, instead of a checkpoint; the
            name in Pyserini 2.3.
        device: As in Pyserini, ``cpu`` unless given.
        encoded_queries_dir: The same, by its name in Pyserini 2.4.
        settings: A recipe and fields of ``EncoderSettings`` to use in place of the checkpoint's.
        precision: ``fp32`` as in Pyserini, ``bf16`` or ``fp16``.
        **others: What Pyserini gives to every encoder: ``prefix`` is put before each query, and
            ``fp16`` sets the precision.

    Raises:
        ValueError: Neither a checkpoint nor encoded queries are given, or another tokenizer is.
    """

    def __init__(
        self,
        encoder_dir: str | None = None,
        tokenizer_name: str | None = None,
        encoded_query_dir: str | None = None,
        device: str = "cpu",
        *,
        encoded_queries_dir: str | None = None,
        settings: Mapping[str, Any] | None = None,
        precision: str = "fp32",
        **others: Any,  # noqa: ANN401 - Pyserini gives every encoder what any of them takes
    ) -> None:
        super().__init__()
        stored = encoded_query_dir or encoded_queries_dir
        if not encoder_dir and not stored:
            raise ValueError("give encoder_dir, a checkpoint, or encoded_query_dir")
        self.prefix = others.get("prefix") or ""
        self.model: Encoder | EncodedQueries
        if encoder_dir:
            _refuse_tokenizer(tokenizer_name, encoder_dir)
            precision = "fp16" if others.get("fp16") else precision
            self.model = _load(encoder_dir, settings, device, precision)
        else:
            self.model = read_encoded_queries(Path(str(stored)))
        self.has_model = bool(encoder_dir)
        # Pyserini 2.3 and 2.4 call these differently, and its code reads them.
        self.has_encoded_query = self.has_encoded_queries = not self.has_model
        if isinstance(self.model, EncodedQueries):
            vectors = dict(zip(self.model.texts, self.model.vectors, strict=True))
            self.embedding = self.embeddings = vectors
        else:
            self.tokenizer = self.model.tokenizer  # Pyserini's ANCE-PRF asks it for its ends
        self.identity = self.model.identity
        self.dimension = self.model.dimension

    def encode(self, query: str, **others: Any) -> NDArray[np.float32]:  # noqa: ANN401 - as above
        """Encode one query to a vector of shape (d,).

        Args:
            query: Its text.
            **others: What Pyserini gives to every encoder; not used.

        Returns:
            The vector, float32.
        """
        del others
        vector: NDArray[np.float32] = self.encode_batch([query])[0]
        return vector

    def encode_batch(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Encode several queries at once; Pyserini's ``batch_search`` calls it where it is there.

        Args:
            queries: Their texts.

        Returns:
            Shape (q, d), float32.
        """
        return self.model.encode_queries([self.prefix + query for query in queries])

    def encode_queries(self, queries: Sequence[str]) -> NDArray[np.float32]:
        """Encode several queries at once, as ``DenseSearcher`` asks for it; shape (q, d)."""
        return self.encode_batch(queries)

    def prf_encode(self, query: str) -> NDArray[np.float32]:
        """Encode what Pyserini's ANCE-PRF made of a query and its feedback; shape (d,)."""
        vector: NDArray[np.float32] = self.prf_batch_encode([query])[0]
        return vector

    def prf_batch_encode(self, query: Sequence[str]) -> NDArray[np.float32]:
        """Encode several such texts, which hold their special tokens.

        Args:
            query: The texts; the name is Pyserini's.

        Returns:
            Shape (q, d), float32.

        Raises:
            ValueError: There are only encoded queries, no checkpoint.
        """
        if not isinstance(self.model, Encoder):
            raise ValueError("ANCE-PRF needs a checkpoint, not queries encoded before")
        return self.model.encode_tokens(
            self.model.tokenize(query, _PRF_TOKENS, adds_special_tokens=False)
        )


class AnceDocumentEncoder(DocumentEncoder):  # type: ignore[misc]
    """Encode documents as ``pyserini.encode.AnceDocumentEncoder`` does, from any layout.

    Args:
        model_name: Folder or hub name of a checkpoint.
        tokenizer_name: None or ``model_name``: a checkpoint's tokenizer lies beside it.
        device: As in Pyserini, ``cuda:0`` unless given.
        settings: A recipe and fields of ``EncoderSettings`` to use in place of the checkpoint's.
        precision: ``fp32`` as in Pyserini, ``bf16`` or ``fp16``.

    Raises:
        ValueError: Another tokenizer is given, or the device or precision cannot be used.
    """

    def __init__(
        self,
        model_name: str,
        tokenizer_name: str | None = None,
        device: str = "cuda:0",
        *,
        settings: Mapping[str, Any] | None = None,
        precision: str = "fp32",
    ) -> None:
        _refuse_tokenizer(tokenizer_name, model_name)
        self.model = _load(model_name, settings, device, precision)
        self.identity = self.model.identity
        self.dimension = self.model.dimension

    def encode(
        self,
        texts: Sequence[str],
        titles: Sequence[str] | None = None,
        max_length: int | None = None,
        **others: Any,  # noqa: ANN401 - Pyserini gives every encoder what any of them takes
    ) -> NDArray[np.float32]:
        """Encode documents.

        Args:
            texts: Their texts.
            titles: Their titles; None where there are none.
            max_length: Tokens a document is cut to; None takes the checkpoint's own, 512 for ANCE,
                where ``pyserini.encode`` gives 256 unless told otherwise.
            **others: What Pyserini gives to every encoder; ``fp16`` is refused, others not used.

        Returns:
            Shape (n, d), float32.

        Raises:
            ValueError: ``fp16`` is asked for, which is to be said when the encoder is made.
        """
        if others.get("fp16"):
            raise ValueError('make the encoder with precision="fp16" (or "bf16") instead of fp16')
        given = titles if titles is not None else [""] * len(texts)
        documents = [
            Document(str(row), text, title or "")
            for row, (text, title) in enumerate(zip(texts, given, strict=True))
        ]
        return self.model.encode_documents(documents, max_tokens=max_length)

    def encode_batch(self, texts: Sequence[str], **others: Any) -> NDArray[np.float32]:  # noqa: ANN401 - as above
        """Encode documents; the same as ``encode``, which takes many.

        Args:
            texts: Their texts.
            **others: As ``encode`` takes them.

        Returns:
            Shape (n, d), float32.
        """
        return self.encode(texts, **others)


def register() -> None:
    """Put both classes into Pyserini's class maps, under ``ance``, for this process.

    Stock commands that run in it, such as ``pyserini.search.faiss --encoder-class ance``, then use
    them. Nothing else of Pyserini's is touched.
    """
    from pyserini.encode import document_encoder_class_map, query_encoder_class_map

    query_encoder_class_map["ance"] = AnceQueryEncoder
    document_encoder_class_map["ance"] = AnceDocumentEncoder


def _load(name: str, settings: Mapping[str, Any] | None, device: str, precision: str) -> Encoder:
    return Encoder.load(name, overrides=settings, device=device, precision=precision)


def _refuse_tokenizer(tokenizer_name: str | None, name: str) -> None:
    if tokenizer_name not in (None, "", name):
        raise ValueError(
            f"tokenizer {tokenizer_name!r}: {name} is loaded with the tokenizer beside its weights"
        )
