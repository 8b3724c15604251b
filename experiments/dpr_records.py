"""Turn DPR's training records into topics and judgments.

python experiments/dpr_records.py --records nq-train.json.gz --prefix train --output DIR

``positive_ctxs`` become judgments of relevance 1; questions are numbered with the prefix.
"""

import argparse
import gzip
import json
import sys
from pathlib import Path


def main() -> int:
    """Write ``PREFIX.tsv`` and ``PREFIX.qrels``."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--records", type=Path, required=True, help="JSON, or .gz of it")
    parser.add_argument("--prefix", required=True, help="of the topic ids and the files")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    open_file = gzip.open if args.records.suffix == ".gz" else open
    with open_file(args.records, "rt", encoding="utf-8") as file:
        records = json.load(file)
    topics, judged = [], []
    for number, record in enumerate(records):
        qid = f"{args.prefix}_{number}"
        topics.append(f"{qid}\t{' '.join(record['question'].split())}\n")
        docids = dict.fromkeys(context["passage_id"] for context in record["positive_ctxs"])
        judged += [f"{qid} 0 {docid} 1\n" for docid in docids]
    args.output.mkdir(parents=True, exist_ok=True)
    (args.output / f"{args.prefix}.tsv").write_text("".join(topics), encoding="utf-8")
    (args.output / f"{args.prefix}.qrels").write_text("".join(judged), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
