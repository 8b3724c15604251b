"""Pairs a second: our reranking against sentence-transformers' CrossEncoder.rank, in turns.

    python benchmarks/reranking.py MODEL --collection C [--pairs 100] [--repeats 3] [--threads N]

Both read the same model and the same pairs, in fp32 and in bf16; the table has medians of wall and
CPU time, and the largest difference of scores within a precision. Any cross-encoder does:
``random_models.py OUTPUT`` writes one of BERT-base's size (110M weights, 85M in its 12 layers) as
``OUTPUT/bert``, as monoBERT-base; ms-marco-MiniLM-L-6 has an eighth of that arithmetic a pair.
Of BERT-base, 100 pairs take theirs some ten seconds in fp32 on two quiet cores.
"""

import argparse
import statistics
import sys
import time
from itertools import islice

import numpy as np

QUERY = "what is the definition of declaratory judgment"


def main() -> int:
    """Time both in both precisions, and print a table."""
    import torch
    from sentence_transformers import CrossEncoder as Reference

    from ance_plugin.formats.collection import Collection
    from ance_plugin.rerank.cross_encoder import CrossEncoder

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("model")
    parser.add_argument("--collection", required=True)
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    documents = list(islice(iter(Collection(args.collection)), args.pairs))
    texts = [document.contents for document in documents]
    rows = ["| precision | theirs, s (CPU) | ours, s (CPU) | ratio (CPU) | scores differ by |"]
    rows.append("| --- | --- | --- | --- | --- |")
    for precision, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        ours = CrossEncoder.load(args.model, device="cpu", precision=precision)
        theirs = Reference(args.model, device="cpu", model_kwargs={"dtype": dtype})
        times: dict[str, list[tuple[float, float]]] = {"theirs": [], "ours": []}
        for repeat in range(args.repeats + 1):  # the first is warm-up
            cpu, wall = time.process_time(), time.perf_counter()
            ranked = theirs.rank(QUERY, texts, activation_fn=torch.nn.Identity())
            between = time.process_time(), time.perf_counter()
            found = ours.score([QUERY] * len(documents), documents)
            after = time.process_time(), time.perf_counter()
            if repeat:
                times["theirs"].append((between[1] - wall, between[0] - cpu))
                times["ours"].append((after[1] - between[1], after[0] - between[0]))
            sys.stderr.write(f"{precision}: turn {repeat} of {args.repeats}\n")
        expected = np.empty(len(texts))
        for hit in ranked:
            expected[hit["corpus_id"]] = float(hit["score"])
        theirs_s, theirs_cpu, ours_s, ours_cpu = (
            statistics.median(pair[column] for pair in times[name])
            for name in ("theirs", "ours")
            for column in (0, 1)
        )
        rows.append(
            f"| {precision} | {theirs_s:.2f} ({theirs_cpu:.2f}) | {ours_s:.2f} ({ours_cpu:.2f}) | "
            f"{theirs_s / ours_s:.2f} ({theirs_cpu / ours_cpu:.2f}) | "
            f"{np.abs(found - expected).max():.4f} |"
        )
    sys.stdout.write("\n".join(rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
