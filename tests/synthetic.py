"""A small world in which BM25's negatives teach little, for tests of training.

Documents of a cluster differ in one word; topics share no word with their document but fillers that
any document may have. So what BM25 finds for a topic is of other clusters, told apart by the
cluster alone, while what the encoder itself finds wrongly is of the same cluster.
"""

import json
import random
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import make_tokenizer

NUM_CLUSTERS, NUM_MEMBERS, NUM_DEV, NUM_BM25 = 10, 20, 50, 20
FILLERS = [f"f{number}" for number in range(40)]


@dataclass(frozen=True)
class World:
    """Paths of the world's files."""

    root: Path

    @property
    def collection(self):
        return str(self.root / "docs.jsonl")

    def topics(self, split):
        return str(self.root / f"{split}.tsv")

    def qrels(self, split):
        return str(self.root / f"{split}.qrels")

    @property
    def init(self):
        return str(self.root / "init")

    @property
    def bm25(self):
        return str(self.root / "bm25")

    def flags(self, *, dev=True):
        """Flags of the data for ``ance_plugin.train``."""
        words = ["--collection", self.collection, "--init", self.init]
        words += ["--topics", self.topics("train"), "--qrels", self.qrels("train")]
        if dev:
            words += ["--dev-topics", self.topics("dev"), "--dev-qrels", self.qrels("dev")]
        return words


def make_world(root, *, dropout=0.0):
    """Write collection, topics, qrels, an untrained encoder, and BM25's negatives."""
    rng = random.Random(0)
    documents, topics = [], []
    for cluster in range(NUM_CLUSTERS):
        for member in range(NUM_MEMBERS):
            name = f"{cluster}-{member}"
            fillers = " ".join(rng.sample(FILLERS, 4))
            documents.append((f"d{name}", f"dc{cluster} dm{member} {fillers}"))
            fillers = " ".join(rng.sample(FILLERS, 2))
            topics.append((f"q{name}", f"qc{cluster} qm{member} {fillers}", f"d{name}"))
    rng.shuffle(topics)
    lines = (json.dumps({"id": docid, "contents": text}) + "\n" for docid, text in documents)
    (root / "docs.jsonl").write_text("".join(lines))
    splits = {"train": topics[NUM_DEV:], "dev": topics[:NUM_DEV]}
    for split, chosen in splits.items():
        (root / f"{split}.tsv").write_text("".join(f"{qid}\t{text}\n" for qid, text, _ in chosen))
        judged = "".join(f"{qid} 0 {docid} 1\n" for qid, _, docid in chosen)
        (root / f"{split}.qrels").write_text(judged)
    _write_encoder(root, dropout)
    _write_bm25(root / "bm25", splits["train"], documents)
    return World(root)


def _write_encoder(root, dropout):
    import torch
    from transformers import BertConfig, BertModel

    from ance_plugin.encode.checkpoint import load_checkpoint, save_checkpoint

    sizes = {"qc": NUM_CLUSTERS, "dc": NUM_CLUSTERS, "qm": NUM_MEMBERS, "dm": NUM_MEMBERS}
    words = [f"{kind}{number}" for kind, size in sizes.items() for number in range(size)]
    tokenizer = make_tokenizer([*words, *FILLERS])
    tokenizer.save_pretrained(root / "plain")
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
        initializer_range=0.2,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config, add_pooling_layer=False).save_pretrained(root / "plain")
    settings = {"pooling": "mean", "max_query_tokens": 16, "max_document_tokens": 16}
    save_checkpoint(load_checkpoint(str(root / "plain"), **settings), root / "init")


def _write_bm25(output, topics, documents):
    """Rank by shared words, as BM25 does where all documents are of one length."""
    from ance_plugin.train.negatives.rows import TopicNegatives
    from ance_plugin.train.negatives.table import write_negatives

    rows = []
    for qid, text, positive in topics:
        terms = set(text.split())
        scored = [(len(terms & set(body.split())), docid) for docid, body in documents]
        scored = sorted((pair for pair in scored if pair[1] != positive), reverse=True)[:NUM_BM25]
        rows.append(
            TopicNegatives(
                qid,
                (positive,),
                (None,),
                tuple(docid for _, docid in scored),
                tuple(float(score) for score, _ in scored),
                tuple(range(1, NUM_BM25 + 1)),
                ("bm25",) * NUM_BM25,
            )
        )
    write_negatives(output, rows, {})
