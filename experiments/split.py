"""Set topics aside for development, by a hash of their ids: the same ones on any machine.

python experiments/split.py --topics T --qrels Q --share 0.2 --output DIR
"""

import argparse
import hashlib
import sys
from pathlib import Path

from ance_plugin.formats.qrels import read_qrels
from ance_plugin.formats.topics import read_topics


def main() -> int:
    """Write topics and qrels of both parts: ``train.tsv``, ``dev.tsv``, and ``.qrels`` of each."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--topics", required=True)
    parser.add_argument("--qrels", required=True)
    parser.add_argument("--share", type=float, default=0.2, help="of the topics, set aside")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    qrels = read_qrels(args.qrels)
    args.output.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[str]] = {"train": [], "dev": []}
    judged: dict[str, list[str]] = {"train": [], "dev": []}
    for topic in read_topics(args.topics):
        part = "dev" if _fraction(topic.qid) < args.share else "train"
        parts[part].append(f"{topic.qid}\t{topic.text}\n")
        grades = qrels.get(topic.qid, {}).items()
        judged[part] += [f"{topic.qid} 0 {docid} {grade}\n" for docid, grade in grades]
    for part, lines in parts.items():
        (args.output / f"{part}.tsv").write_text("".join(lines), encoding="utf-8")
        (args.output / f"{part}.qrels").write_text("".join(judged[part]), encoding="utf-8")
    return 0


def _fraction(qid: str) -> float:
    """Place an id between 0 and 1."""
    return int.from_bytes(hashlib.md5(qid.encode()).digest()[:8]) / 2**64


if __name__ == "__main__":
    sys.exit(main())
