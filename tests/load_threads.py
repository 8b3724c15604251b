r"""Search with a few searchers from many threads; compare each answer with the one given alone.

    python tests/load_threads.py --index idx/dense --sparse-index idx/bm25 idx/other --encoder E \
        --topics topics.tsv --minutes 10

Single queries and batches are asked in turn, dense, BM25 (each index with a searcher of its own, at
the same time as the others) and hybrid. JAVA_TOOL_OPTIONS=-Xmx256m bounds Java's heap. A batch is
one of a fixed few: matrix products of another shape round in another way, so a query's scores in a
batch may differ from those alone in the last digit, in one thread as in many.
"""

import argparse
import json
import random
import sys
import threading
import time
from itertools import batched
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

_BATCH = 7


class Load:
    """Searchers, what they answer alone, and what went wrong since.

    Args:
        searchers: By name.
        queries: The texts.
        k: Hits a query.
    """

    def __init__(self, searchers, queries, *, k):
        self.searchers, self.k = searchers, k
        self.batches = [list(part) for part in batched(queries, _BATCH)]
        asked = [(name, part) for name in searchers for part in (*queries, *self.batches)]
        self.expected = [(name, part, self.ask(name, part)) for name, part in asked]
        self.num_queries = 0
        self.wrong, self.errors = [], []
        self._lock = threading.Lock()

    def ask(self, name, part):
        """Search for a query, or for a batch of them."""
        searcher = self.searchers[name]
        if isinstance(part, str):
            return searcher.search(part, self.k)
        qids = [str(place) for place in range(len(part))]
        return searcher.batch_search(part, qids, self.k, 2)

    def work(self, seed, deadline):
        """Ask in random order until the deadline."""
        rng = random.Random(seed)
        while time.monotonic() < deadline:
            name, part, expected = rng.choice(self.expected)
            try:
                found = self.ask(name, part)
            except Exception as err:  # noqa: BLE001 - counted, whatever it is
                self.errors.append(f"{type(err).__name__}: {err}")
                continue
            with self._lock:
                self.num_queries += 1 if isinstance(part, str) else len(part)
            if found != expected:
                self.wrong.append((name, part))


def run_load(load, *, threads, seconds):
    """Ask from so many threads for so long; give the figures."""
    deadline, memory = time.monotonic() + seconds, [measure_memory_mb()]
    workers = [
        threading.Thread(target=load.work, args=(seed, deadline), daemon=True)
        for seed in range(threads)
    ]
    for worker in workers:
        worker.start()
    for share in (0.1, 0.25, 0.5, 0.75, 1.0):
        time.sleep(max(deadline - (1 - share) * seconds - time.monotonic(), 0))
        memory.append(measure_memory_mb())
    for worker in workers:
        worker.join(timeout=120)
    return {
        "threads": threads,
        "seconds": round(seconds),
        "queries": load.num_queries,
        "wrong": len(load.wrong),
        "errors": len(load.errors),
        "first_error": next(iter(load.errors), None),
        "stuck_threads": sum(worker.is_alive() for worker in workers),
        "memory_mb": dict(zip(("start", "10%", "25%", "50%", "75%", "end"), memory, strict=True)),
    }


def measure_memory_mb():
    """Give the memory that this process holds, JVM included."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 // 2**20


def main():
    """Open the searchers, put them under load, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", required=True)
    parser.add_argument("--sparse-index", required=True, nargs="+")
    parser.add_argument("--encoder", required=True)
    parser.add_argument("--topics", required=True)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=32)
    args = parser.parse_args()
    from ance_plugin import Bm25Searcher, DenseSearcher, Encoder, HybridSearcher
    from ance_plugin.formats.topics import read_topics

    dense = DenseSearcher(args.index, Encoder.load(args.encoder))
    sparse = {f"bm25 of {name}": Bm25Searcher(name) for name in args.sparse_index}
    first = next(iter(sparse.values()))
    searchers = {"dense": dense, **sparse, "hybrid": HybridSearcher(dense, first)}
    queries = [topic.text for topic in read_topics(args.topics)[:70]]
    figures = run_load(
        Load(searchers, queries, k=10), threads=args.threads, seconds=60 * args.minutes
    )
    sys.stdout.write(f"{json.dumps(figures, indent=2)}\n")
    return bool(figures["wrong"] or figures["errors"] or figures["stuck_threads"])


if __name__ == "__main__":
    sys.exit(main())
