"""Continue one warm-up with negatives from different places, and compare on test topics.

    python experiments/negatives.py run --data data.toml --init ckpt/warmup --output results/x
    python experiments/negatives.py report results/x [results/y ...]

``run`` trains each arm with each seed at the same number of steps, chooses the checkpoint on the
dev topics, searches the test topics with it, and writes one JSON file an arm and seed; those that
are there are not made again. ``report`` prints means, spread over seeds, and a paired t-test of
each arm against "bm25" over the test topics, each topic's value averaged over the seeds.
"""

import argparse
import json
import logging
import shutil
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ance_plugin import measures
from ance_plugin.artifacts import write_json
from ance_plugin.cli.run import configure_logging
from ance_plugin.encode.encoder import Encoder
from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.runs import write_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.ranking import rank
from ance_plugin.records import Qrels, Run
from ance_plugin.train.corpus import Corpus
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.log import read_log
from ance_plugin.train.nearest import EncodedCorpus, encode_corpus, remove_vectors
from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.plan import plan_new, plan_resumed
from ance_plugin.train.run import train
from ance_plugin.train.settings import Data, Optimization, Refresh, Start, TrainSettings

logger = logging.getLogger("ance_plugin.experiments")

# What each arm changes: groups of the training settings -> fields -> values.
ARMS: dict[str, dict[str, dict[str, Any]]] = {
    "bm25": {"negatives": {"mix": {"bm25": 1.0}}},
    "random": {"negatives": {"mix": {"random": 1.0}}},
    "in-batch": {
        "negatives": {"mix": {"random": 1.0}},
        "optimization": {"negatives_per_topic": 0, "in_batch_weight": 1.0},
    },
    "static-ann": {"refresh": {"mode": "static"}},
    "ance": {},
    "ance-async": {"refresh": {"mode": "async"}},
    "ance-filtered": {"negatives": {"margin": 0.1}},
    "ance-simans": {"negatives": {"sampler": "simans"}},
    "ance-mixed": {"negatives": {"mix": {"ann": 1.0, "bm25": 1.0}}},
}
BASELINE = "bm25"
MEASURES = ("ndcg@10", "mrr@10", "recall@100")
_DEPTH = 100


def main() -> int:
    """Parse flags; run or report."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    stages = parser.add_subparsers(required=True)
    run = stages.add_parser("run", allow_abbrev=False)
    add = run.add_argument
    add("--data", type=Path, required=True, help="TOML: [data] and [test], as Data has them")
    add("--init", required=True, help="the warm-up")
    add("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    add("--seeds", nargs="+", type=int, default=[0, 1, 2])
    add("--settings", type=Path, help="recipe in TOML for all arms")
    add("--output", type=Path, required=True)
    run.set_defaults(start=run_arms)
    report = stages.add_parser("report", allow_abbrev=False)
    report.add_argument("results", type=Path, nargs="+")
    report.set_defaults(start=print_report)
    args = parser.parse_args()
    configure_logging(is_verbose=False)
    args.start(args)
    return 0


def run_arms(args: argparse.Namespace) -> None:
    """Train and test what is not there yet, seed by seed."""
    described = tomllib.loads(args.data.read_text(encoding="utf-8"))
    recipe = {}
    if args.settings is not None:
        from ance_plugin.train.recipe import read_recipe

        recipe = read_recipe(str(args.settings))
    args.output.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for arm in args.arms:
            result = args.output / f"{arm}.{seed}.json"
            if result.exists():
                continue
            logger.info("%s, seed %d", arm, seed)
            settings = make_settings(described["data"], args.init, recipe, arm, seed)
            folder = TrainingFolder(args.output / f"{arm}.{seed}")
            started = folder.settings.exists()
            train(plan_resumed(folder.path) if started else plan_new(folder.path, settings))
            tested = test_best(folder, settings, described["test"], result.with_suffix(".trec"))
            write_json(result, {"arm": arm, "seed": seed, **tested, **read_curves(folder)})
            for name in ("checkpoints", "states", "refreshes"):
                shutil.rmtree(folder.path / name)


def make_settings(
    data: dict[str, str], init: str, recipe: dict[str, Any], arm: str, seed: int
) -> TrainSettings:
    """Put data, recipe and arm together."""
    groups = {
        group: {**recipe.get(group, {}), **ARMS[arm].get(group, {})}
        for group in ("optimization", "negatives", "refresh")
    }
    mining = MiningSettings(**groups["negatives"])
    given = Data(**data)
    if mining.mix.get("bm25", 0) == 0:
        given = replace(given, bm25_negatives=None, sparse_index=None, triples=None)
    return TrainSettings(
        given,
        Start(init, **recipe.get("start", {})),
        Optimization(**{**groups["optimization"], "seed": seed}),
        mining,
        Refresh(**groups["refresh"]),
    )


def test_best(
    folder: TrainingFolder, settings: TrainSettings, test: dict[str, str], output: Path
) -> dict[str, Any]:
    """Search the test topics with the checkpoint that dev chose; write the run, give its values."""
    encoder = Encoder.load(str(folder.path))
    corpus = Corpus(Path(settings.data.tokens) if settings.data.tokens else folder.tokens)
    vectors = folder.path / "test.vectors"
    encode_corpus(corpus, encoder, vectors, {"encoder": encoder.identity})
    topics, qrels = read_topics(test["topics"]), read_qrels(test["qrels"])
    queries = encoder.encode_queries([topic.text for topic in topics])
    near = EncodedCorpus(corpus, vectors, device=str(encoder.device)).search(queries, _DEPTH)
    remove_vectors(vectors)
    run: Run = {}
    for topic, scores, rows in zip(topics, near.scores, near.rows, strict=True):
        run[topic.qid] = rank([corpus.docids[row] for row in rows.tolist()], scores, _DEPTH)
    write_run(output, run, tag=output.stem)
    judged: Qrels = {qid: qrels[qid] for qid in run if qid in qrels}
    values = measures.per_topic(run, judged, MEASURES)
    means = {name: mean(of_topics.values()) for name, of_topics in values.items()}
    return {"means": means, "per_topic": values}


def read_curves(folder: TrainingFolder) -> dict[str, Any]:
    """Give what the log says of dev, overlap, gradients and waiting."""
    events = read_log(folder)
    refreshes = [event for event in events if event["event"] == "refresh"]
    steps = [event for event in events if event["event"] == "step"]
    norms = [event["gradient_norm"]["all"] for event in steps]
    return {
        "dev": {event["step"]: event.get("dev", {}) for event in refreshes},
        "overlap": {event["step"]: event.get("overlap") for event in refreshes},
        "gradient_norm": {"first": mean(norms[:50]), "last": mean(norms[-50:])},
        "end": [event for event in events if event["event"] == "end"],
    }


def print_report(args: argparse.Namespace) -> None:
    """Print a Markdown table for each folder of results."""
    from scipy import stats

    for folder in args.results:
        found: dict[str, list[dict[str, Any]]] = {}
        for path in sorted(folder.glob("*.*.json")):
            result = json.loads(path.read_text(encoding="utf-8"))
            found.setdefault(result["arm"], []).append(result)
        sys.stdout.write(f"\n{folder.name}\n\n| arm | seeds | {' | '.join(MEASURES)} | ")
        sys.stdout.write("p against bm25 | overlap | gradient norm, first and last 50 steps |\n")
        sys.stdout.write(f"| --- | {'--- | ' * (len(MEASURES) + 4)}\n")
        base = _average_topics(found[BASELINE]) if BASELINE in found else {}
        for arm in (arm for arm in ARMS if arm in found):
            results = found[arm]
            cells = [_describe([r["means"][name] for r in results]) for name in MEASURES]
            own = _average_topics(results)
            pairs = [(own[qid], base[qid]) for qid in own if qid in base]
            p_value = stats.ttest_rel(*zip(*pairs, strict=True)).pvalue if pairs else float("nan")
            overlap = mean(list(r["overlap"].values())[-1] for r in results)
            norms = [mean(r["gradient_norm"][end] for r in results) for end in ("first", "last")]
            p_text = "" if arm == BASELINE else f"{p_value:.3g}"
            row = [arm, str(len(results)), *cells, p_text, f"{overlap:.2f}"]
            row.append(f"{norms[0]:.2f}, {norms[1]:.2f}")
            sys.stdout.write(f"| {' | '.join(row)} |\n")


def _average_topics(results: list[dict[str, Any]]) -> dict[str, float]:
    """Average each topic's nDCG@10 over the seeds."""
    values = [result["per_topic"]["ndcg@10"] for result in results]
    return {qid: mean(of_seed[qid] for of_seed in values) for qid in values[0]}


def _describe(values: list[float]) -> str:
    spread = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
    return f"{mean(values):.4f}{spread}"


if __name__ == "__main__":
    sys.exit(main())
