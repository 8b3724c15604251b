"""Make an ANCE encoder and a BERT reranker of base size with random weights, to be timed.

    python benchmarks/random_models.py OUTPUT [--collection C]

``OUTPUT/ance``: RoBERTa-base's shape (12 layers, 768 wide, 514 positions) with ANCE's head, queries
cut to 64 tokens and documents to 512. ``OUTPUT/bert``: BERT-base's with a classifier of one output.
Time does not depend on the values of weights. Both have the vocabulary that all-MiniLM-L6-v2
carries, which is BERT's, as RoBERTa's is in no package: texts become as many tokens on both sides.
With a collection, ``OUTPUT/vectors`` has a random vector for each document, marked as the
encoder's, to be indexed: exact search takes as long on any values, and nothing need be encoded.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

VOCABULARY = "sentence-transformers/all-MiniLM-L6-v2"


def main() -> int:
    """Write both folders."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("output", type=Path)
    parser.add_argument("--collection")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    make_encoder(args.output / "ance")
    make_reranker(args.output / "bert")
    if args.collection:
        make_vectors(args.collection, args.output / "ance", args.output / "vectors")
    return 0


def make_encoder(folder: Path) -> None:
    """Write an ANCE encoder in our layout."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    from ance_plugin.encode.checkpoint import Checkpoint, save_checkpoint
    from ance_plugin.encode.model import AnceHead, EncoderModel
    from ance_plugin.encode.settings import EncoderSettings

    tokenizer = load_vocabulary()
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=514,
        type_vocab_size=1,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    body = RobertaModel(config, add_pooling_layer=False)
    model = EncoderModel(body, "cls", head=AnceHead(config.hidden_size))
    settings = EncoderSettings(pooling="cls", max_query_tokens=64, max_document_tokens=512)
    save_checkpoint(Checkpoint("random", model.eval(), tokenizer, settings), folder)


def make_reranker(folder: Path) -> None:
    """Write a BERT classifier as transformers saves it."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = load_vocabulary()
    tokenizer.model_max_length = 512
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def make_vectors(collection: str, encoder: Path, output: Path) -> None:
    """Write vectors as ``ance_plugin.encode`` does, drawn in place of encoded."""
    from ance_plugin.encode.corpus import encode_collection
    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.formats.collection import Collection

    generator = np.random.default_rng(2)

    class Drawing(Encoder):
        def encode_tokens(self, rows: Sequence[list[int]], **_: object) -> NDArray[np.float32]:
            return generator.standard_normal((len(rows), self.dimension), dtype=np.float32)

    encode_collection(Collection(collection), Drawing.load(str(encoder)), output)


def load_vocabulary() -> "PreTrainedTokenizerBase":
    """Load BERT's tokenizer from the package that carries one."""
    from ance_plugin.encode.layouts.folder import load_tokenizer
    from ance_plugin.encode.sources import find_checkpoint

    return load_tokenizer(find_checkpoint(VOCABULARY))


if __name__ == "__main__":
    sys.exit(main())
