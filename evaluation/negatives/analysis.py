"""Compare each strategy's negatives with what a checkpoint finds at test time.

Xiong et al. 2021 (arXiv 2007.00808): figure 3 is the overlap of training negatives with the top of
test-time retrieval, figure 4 losses and gradient norms, table 6 the overlap of dense results with
BM25's and the share of unjudged ones.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ance_plugin import artifacts, measures
from ance_plugin.encode.maxp import NUM_CHUNKS
from ance_plugin.ranking import rank
from ance_plugin.records import Hit, Qrels, Run
from ance_plugin.train.corpus import Corpus, tokenize_corpus
from ance_plugin.train.log import read_log
from ance_plugin.train.nearest import EncodedCorpus, Nearest, encode_corpus, remove_vectors
from ance_plugin.train.topics import TrainingTopics
from ance_plugin.version import describe_versions
from evaluation.negatives import strategies
from evaluation.negatives.findings import MEASURES, Analysis, Finding, Settings, Strategy
from evaluation.negatives.gradients import Gradients, TripleMeter, choose_topics, take
from evaluation.negatives.inputs import Inputs, Names, load_inputs
from evaluation.negatives.report import write_report
from evaluation.negatives.series import Point, Series, list_series
from evaluation.negatives.strategies import Rows

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

logger = logging.getLogger(__name__)


def analyse(
    checkpoints: Sequence[str],
    names: Names,
    settings: Settings,
    output: Path,
    *,
    num_checkpoints: int | None = None,
    overwrite: bool = False,
    threads: int = 1,
) -> Analysis:
    """Look at checkpoints, and write the report.

    Token ids and vectors lie beside the output while they are needed, in ``.NAME.work``; they are
    used again when a command that was killed is given again.

    Args:
        checkpoints: Folders of training runs, or encoders.
        names: Where topics, judgments, documents and BM25's hits come from.
        settings: How to look.
        output: The directory to make.
        num_checkpoints: At most so many of a training run.
        overwrite: Replace an earlier output.
        threads: Java threads to search with.

    Returns:
        What was found.

    Raises:
        ArtifactError: ``output`` exists, or a training run has no checkpoints.
        FileNotFoundError: Something that is named is not there.
        MismatchError: Topics, qrels and BM25's run are not of each other.
    """
    artifacts.refuse_existing(output, overwrite=overwrite)
    series = list_series(checkpoints, num_checkpoints=num_checkpoints)
    inputs = load_inputs(names, series, depth=settings.depth, threads=threads)
    scratch = output.with_name(f".{output.name}.work")
    with artifacts.new_directory(output, overwrite=overwrite) as staging:
        scratch.mkdir(exist_ok=True)
        analysis = Analyst(inputs, settings, scratch).analyse(series)
        write_report(staging, analysis)
    shutil.rmtree(scratch)
    return analysis


class Analyst:
    """Look at checkpoints.

    Args:
        inputs: Topics, judgments, documents, BM25's hits.
        settings: How to look.
        scratch: Folder for token ids and vectors; what a killed run left there is used again.
    """

    def __init__(self, inputs: Inputs, settings: Settings, scratch: Path) -> None:
        self._inputs = inputs
        self._settings = settings
        self._scratch = scratch

    def analyse(self, series: Sequence[Series]) -> Analysis:
        """Look at every checkpoint of every series.

        Raises:
            FormatError: The collection is malformed, or no topic has a positive in it.
        """
        findings = [finding for each in series for finding in self._look_at(each)]
        names = [each for each in series if each.folder is not None]
        bm25 = self._inputs.bm25
        return Analysis(
            names=self._inputs.names,
            settings=self._settings,
            findings=tuple(findings),
            bm25_measures=None if bm25 is None else self._measure(bm25, self._inputs.qrels),
            logs={each.name: _read_curves(each) for each in names},
            runs=tuple(each.folder.path for each in names if each.folder is not None),
            versions=describe_versions("torch", "transformers"),
        )

    def _look_at(self, series: Series) -> list[Finding]:
        findings: list[Finding] = []
        earlier: list[Rows] = []
        for point in series.points:
            logger.info("%s, %s", series.name, point.label)
            finding, found = self._look_at_point(series, point, earlier)
            findings.append(finding)
            earlier.append(found)
        return findings

    def _look_at_point(
        self, series: Series, point: Point, earlier: Sequence[Rows]
    ) -> tuple[Finding, Rows]:
        """Give what a checkpoint shows, and the negatives that it finds."""
        from ance_plugin.encode.encoder import Encoder

        settings, qrels = self._settings, self._inputs.qrels
        encoder = Encoder(point.load(), device=settings.device, precision=settings.precision)
        corpus = self._tokenize(encoder, is_chunked=series.is_chunked)
        topics = TrainingTopics.load(self._inputs.topics, qrels, corpus, encoder)
        excluded = strategies.find_excluded(topics, qrels, corpus)
        margin = max(map(len, excluded))
        nearest = self._search(encoder, corpus, topics, series, settings.depth + margin)
        own = strategies.keep_negatives(list(nearest.rows), excluded, settings.depth)
        named = self._list_strategies(topics, corpus, excluded, [*earlier, own])
        run = _to_run(nearest, topics, corpus, settings.depth)
        identity = {"name": encoder.name, **encoder.identity}
        del encoder
        gradients = self._measure_triples(series, point, corpus, topics, named)
        finding = Finding(
            series=series.name,
            label=point.label,
            step=point.step,
            encoder=identity,
            num_topics=len(topics),
            strategies={
                name: Strategy(
                    num_negatives=sum(map(len, rows)),
                    overlap=strategies.measure_share(rows, own),
                    gradients=gradients.get(name),
                )
                for name, rows in named.items()
            },
            bm25_overlap=self._compare_with_bm25(run),
            measures=self._measure(run, {t.qid: qrels[t.qid] for t in topics.topics}),
        )
        return finding, own

    def _tokenize(self, encoder: "Encoder", *, is_chunked: bool) -> Corpus:
        """Tokenize for an encoder; those that tokenize alike share the result."""
        max_tokens = encoder.settings.max_document_tokens * (NUM_CHUNKS if is_chunked else 1)
        rendering = ("tokenizer_sha256", "is_lowercased", "template", "is_document_pair")
        kind = [max_tokens, *(encoder.identity.get(name) for name in rendering)]
        digest = hashlib.sha256(json.dumps(kind).encode()).hexdigest()[:16]
        output = self._scratch / f"{digest}.tokens"
        return tokenize_corpus(self._inputs.collection, encoder, output, max_tokens=max_tokens)

    def _search(
        self, encoder: "Encoder", corpus: Corpus, topics: TrainingTopics, series: Series, k: int
    ) -> Nearest:
        vectors = self._scratch / f"{encoder.identity['weights_sha256'][:16]}.vectors"
        chunk_tokens = encoder.settings.max_document_tokens if series.is_chunked else None
        described = {"encoder": encoder.identity, "precision": encoder.precision}
        encode_corpus(corpus, encoder, vectors, described, chunk_tokens=chunk_tokens)
        encoded = EncodedCorpus(
            corpus, vectors, device=str(encoder.device), is_chunked=series.is_chunked
        )
        queries = encoder.encode_tokens([row.tolist() for row in topics.tokens])
        found = encoded.search(queries, k)
        remove_vectors(vectors)
        return found

    def _list_strategies(
        self, topics: TrainingTopics, corpus: Corpus, excluded: Rows, found: Sequence[Rows]
    ) -> dict[str, Rows]:
        """List the negatives of each strategy; ``found`` is what each checkpoint so far finds."""
        settings = self._settings
        count = settings.depth + max(map(len, excluded))
        random = strategies.draw_random(topics, corpus, count=count, seed=settings.seed)
        batch = strategies.draw_in_batch(topics, batch_size=settings.batch_size, seed=settings.seed)
        candidates = {strategies.RANDOM: random, strategies.IN_BATCH: batch}
        if self._inputs.bm25 is not None:
            hits = strategies.list_run(self._inputs.bm25, topics, corpus)
            candidates = {strategies.BM25: hits, **candidates}
        kept = {
            name: strategies.keep_negatives(rows, excluded, settings.depth)
            for name, rows in candidates.items()
        }
        if len(found) > 1:
            kept |= {strategies.STATIC: found[0], strategies.REFRESHED: found[-2]}
        return {**kept, strategies.OWN: found[-1]}

    def _measure_triples(
        self,
        series: Series,
        point: Point,
        corpus: Corpus,
        topics: TrainingTopics,
        named: dict[str, Rows],
    ) -> dict[str, Gradients]:
        settings = self._settings
        places = choose_topics(topics, settings.num_topics, seed=settings.seed)
        meter = TripleMeter(
            point.load(),  # once more: an encoder has cast and packed its weights
            corpus,
            device=settings.device,
            precision=settings.precision,
            temperature=series.temperature,
            is_chunked=series.is_chunked,
        )
        chosen = {name: [rows[place] for place in places] for name, rows in named.items()}
        return meter.measure(take(topics, places), chosen, seed=settings.seed)

    def _compare_with_bm25(self, run: Run) -> float | None:
        """Find the share of a run's hits, positives included, that BM25 has in its own first."""
        if self._inputs.bm25 is None:
            return None
        depth, shared = self._settings.depth, 0
        for qid, hits in run.items():
            others = {hit.docid for hit in self._inputs.bm25.get(qid, [])[:depth]}
            shared += sum(hit.docid in others for hit in hits)
        return shared / sum(map(len, run.values()))

    def _measure(self, run: Run, qrels: Qrels) -> dict[str, float]:
        cut = {qid: run[qid][: self._settings.depth] for qid in qrels if qid in run}
        return measures.means(cut, qrels, MEASURES)


def _to_run(nearest: Nearest, topics: TrainingTopics, corpus: Corpus, depth: int) -> Run:
    run: dict[str, list[Hit]] = {}
    for topic, scores, rows in zip(topics.topics, nearest.scores, nearest.rows, strict=True):
        docids = [corpus.docids[row] for row in rows[rows >= 0].tolist()]
        run[topic.qid] = rank(docids, scores[rows >= 0], depth)
    return run


def _read_curves(series: Series) -> list[dict[str, Any]]:
    """Read what a training run logged of figures 3 and 4, step by step."""
    if series.folder is None:
        return []
    wanted = ("event", "step", "overlap", "dev", "loss", "margin", "gradient_norm", "staleness")
    return [
        {name: event[name] for name in wanted if name in event}
        for event in read_log(series.folder)
        if event["event"] in ("refresh", "step")
    ]
