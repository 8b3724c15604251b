"""The stages that ``growth.py`` measures, each run in a process of its own.

A stage reads what those before it wrote into the same folder.
"""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from random_models import load_vocabulary
from turns import timed

_HITS = 1000
_MEASURES = ("ndcg@10", "mrr@10", "recall@1000")


def run_stage(stage: str, folder: Path, threads: int) -> list[float]:
    """Run one stage.

    Args:
        stage: Its name.
        folder: With what ``growth.py`` made.
        threads: Threads to compute with.

    Returns:
        Seconds of the clock and of the processor, and the most gigabytes the process held.
    """
    import torch

    torch.set_num_threads(threads)
    work = _STAGES[stage](folder, threads)
    _, seconds = timed(work)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return [seconds.wall, seconds.cpu, held]


def make_checkpoint(folder: Path) -> None:
    """Write a BERT of one layer, 128 wide, with ANCE's head, which makes vectors of 768 numbers."""
    import torch
    from transformers import BertConfig, BertModel

    from ance_plugin.encode.checkpoint import Checkpoint, save_checkpoint
    from ance_plugin.encode.model import AnceHead, EncoderModel
    from ance_plugin.encode.settings import EncoderSettings

    tokenizer = load_vocabulary()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=512,
    )
    model = EncoderModel(BertModel(config, add_pooling_layer=False), "cls", head=AnceHead(128))
    settings = EncoderSettings(pooling="cls", max_query_tokens=64, max_document_tokens=512)
    save_checkpoint(Checkpoint("growth", model.eval(), tokenizer, settings), folder)


def _encode(folder: Path, _: int) -> Callable[[], object]:
    from ance_plugin.encode.corpus import encode_collection
    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.formats.collection import Collection

    encoder = Encoder.load(str(folder / "encoder"), device="cpu")
    return lambda: encode_collection(
        Collection(str(folder / "docs.jsonl")), encoder, folder / "vectors"
    )


def _index_bm25(folder: Path, threads: int) -> Callable[[], object]:
    from ance_plugin import jvm
    from ance_plugin.formats.collection import Collection
    from ance_plugin.index.bm25 import build_bm25_index

    jvm.start()
    return lambda: build_bm25_index(
        Collection(str(folder / "docs.jsonl")), folder / "bm25", threads=threads
    )


def _index_dense(folder: Path, threads: int) -> Callable[[], object]:
    from ance_plugin.formats.vectors import Vectors
    from ance_plugin.index.dense import build_dense_index

    return lambda: build_dense_index(Vectors(folder / "vectors"), folder / "dense", threads=threads)


def _search_dense(folder: Path, threads: int) -> Callable[[], object]:
    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.search.dense import DenseSearcher

    encoder = Encoder.load(str(folder / "encoder"), device="cpu")
    return lambda: _search(DenseSearcher(folder / "dense", encoder), folder, "dense", threads)


def _search_bm25(folder: Path, threads: int) -> Callable[[], object]:
    from ance_plugin.search.bm25 import Bm25Searcher

    searcher = Bm25Searcher(folder / "bm25")
    return lambda: _search(searcher, folder, "bm25", threads)


def _search(searcher: Any, folder: Path, kind: str, threads: int) -> None:  # noqa: ANN401 - either's
    from ance_plugin.formats.runs import write_run
    from ance_plugin.formats.topics import read_topics

    topics = read_topics(str(folder / "topics.tsv"))
    texts, qids = [topic.text for topic in topics], [topic.qid for topic in topics]
    run = searcher.batch_search(texts, qids, _HITS, threads)
    write_run(folder / f"{kind}.trec", run, tag=kind)


def _fuse(folder: Path, _: int) -> Callable[[], object]:
    from ance_plugin.formats.runs import read_run, write_run
    from ance_plugin.fusion.fuse import fuse
    from ance_plugin.fusion.methods import FusionParams

    def work() -> None:
        runs = [read_run(folder / f"{kind}.trec") for kind in ("bm25", "dense")]
        write_run(folder / "hybrid.trec", fuse(runs, FusionParams("rrf"), _HITS), tag="hybrid")

    return work


def _evaluate(folder: Path, _: int) -> Callable[[], object]:
    from ance_plugin.formats.qrels import read_qrels
    from ance_plugin.formats.runs import read_run
    from ance_plugin.measures import compile_measures, means

    compile_measures()
    qrels = read_qrels(str(folder / "qrels.txt"))
    return lambda: means(read_run(folder / "hybrid.trec"), qrels, _MEASURES)


_STAGES: dict[str, Callable[[Path, int], Callable[[], object]]] = {
    "encode": _encode,
    "index bm25": _index_bm25,
    "index dense": _index_dense,
    "search dense": _search_dense,
    "search bm25": _search_bm25,
    "fusion": _fuse,
    "evaluate": _evaluate,
}
