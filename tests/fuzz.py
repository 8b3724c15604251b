"""Feed the parsers of files with inputs that nobody meant, and see that each is read or refused.

    python tests/fuzz.py --inputs 1000000

An input is a seed file with a few bytes changed, lines joined from several seeds, or values put in
place of others. A parser may return records or raise the package's own errors; anything else is a
crash, and its input is kept.
"""

import argparse
import io
import json
import logging
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

SEEDS = {
    "topics.tsv": b"q1\tred fox\nq2\tblue cat\n",
    "topics.jsonl": b'{"qid": "1", "text": "a"}\n{"id": 2, "title": "b"}\n',
    "topics.trec": b"<top>\n<num> Number: 1\n<title> Topic: a b\n<desc> x\n</top>\n",
    "topics.dpr": b"who is it\t['a', \"b\"]\nwhat\t['c']\n",
    "docs.jsonl": b'{"id": "d1", "contents": "a"}\n{"_id": "2", "title": "t", "text": "b"}\n',
    "docs.tsv": b"d1\tsome text\nd2\tother\n",
    "dpr.tsv": b'id\ttext\ttitle\n1\t"a ""b"""\tt\n2\tc\td\n',
    "qrels.txt": b"1 0 d1 1\n1 0 d2 0\n2 0 d1 -1\n",
    "beir.tsv": b"query-id\tcorpus-id\tscore\n1\td1\t2\n",
    "run.trec": b"1 Q0 d1 1 3.5 tag\n1 Q0 d2 2 1e-3 tag\n2 Q0 d1 1 -7 tag\n",
    "metadata.json": b'{"kind": "thing", "format_version": 1, "files": {"a": {"size_bytes": 1}}}',
    "best.json": b'{"kind": "fusion-params", "format_version": 1, "params": {"method": "rrf"}}',
}
_PIECES = (
    *(
        b"\0",
        b"\r\n",
        b"\r",
        b"\n",
        b"\t",
        b" ",
        b"\xef\xbb\xbf",
        b"\xff",
        b"\xc3",
        b"\xed\xa0\x80",
    ),
    *(b"nan", b"inf", b"-1", b"1e999", b"9" * 5000, b"0x10", b"1_0", b"\xd9\xa1", b"null", b"true"),
    *(
        b"[" * 3000,
        b"{" * 50,
        b'"',
        b"'",
        b"\\ud83d",
        b"\\u0000",
        b"\xe2\x80\xae",
        b"\xf0\x9f\x98\x80",
    ),
    *(b"../../x", b"<top>", b"</top>", b"<num>", b"<title>", b"[]", b"{}", b"\x1b[2J", b"\xc2\x85"),
)


def make_parsers(folder):
    """List the parsers by the seeds they read, each a function of a path."""
    from ance_plugin.artifacts import open_sealed, read_json
    from ance_plugin.encode.queries import read_encoded_queries
    from ance_plugin.formats.collection import Collection
    from ance_plugin.formats.qrels import read_qrels
    from ance_plugin.formats.runs import read_run, read_tag
    from ance_plugin.formats.topics import read_topics
    from ance_plugin.fusion.tuned import read_tuned

    def read_collection(path):
        return [list(Collection(str(path))), Collection(str(path)).scan()]

    def read_any_run(path):
        return [read_run(path), read_tag(path)]

    def open_folder(path):
        read_json(path)
        return open_sealed(path.parent, "thing")

    readers = {
        "topics": lambda path: read_topics(str(path)),
        "docs": read_collection,
        "dpr": read_collection,
        "qrels": lambda path: read_qrels(str(path)),
        "beir": lambda path: read_qrels(str(path)),
        "run": read_any_run,
        "metadata": open_folder,
        "best": read_tuned,
        "queries": read_encoded_queries,
    }
    (folder / "a").write_bytes(b"x")
    return {name: readers[name.partition(".")[0]] for name in SEEDS | pickled_seeds()}


def pickled_seeds():
    """Give seeds that are no text: encoded queries of both kinds."""
    import pickle

    import numpy as np

    npz = io.BytesIO()
    ids = np.array(["1"])
    np.savez(npz, ids=ids, texts=ids, vectors=np.ones((1, 2), np.float32), identity="null")
    return {
        "queries.npz": npz.getvalue(),
        "queries.pkl": pickle.dumps({"id": ["1"], "text": ["a"], "embedding": [[1.0]]}),
    }


def mutate(seed, others, rng):
    """Change a file a little or a lot."""
    content = bytearray(seed)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        place = rng.randrange(len(content) + 1)
        action = rng.randrange(6)
        if action == 0 and content:
            content[place - 1] ^= 1 << rng.randrange(8)
        elif action == 1:
            content[place:place] = rng.choice(_PIECES)
        elif action == 2:
            del content[place : place + rng.choice((1, 2, 5, 40))]
        elif action == 3:
            piece = rng.choice(_PIECES)
            content[place : place + len(piece)] = piece
        elif action == 4:
            lines = rng.choice(others).split(b"\n")
            content[place:place] = rng.choice(lines) + b"\n"
        else:
            content[place:place] = content[place // 2 : place]
    return bytes(content)


def fuzz(num_inputs, *, seed=0, folder):
    """Feed so many inputs; give how many were read and refused, and the crashes."""
    from ance_plugin.errors import AnceError

    parsers, rng = make_parsers(folder), random.Random(seed)
    seeds = SEEDS | pickled_seeds()
    names, others = sorted(seeds), [seeds[name] for name in sorted(SEEDS)]
    outcomes, crashes = Counter(), []
    for number in range(num_inputs):
        name = names[number % len(names)]
        content = mutate(seeds[name], others, rng)
        path = folder / name
        path.write_bytes(content)
        try:
            parsers[name](path)
            outcomes["read"] += 1
        except (AnceError, FileNotFoundError) as err:
            outcomes["refused"] += 1
            if str(folder) not in str(err):
                crashes.append((name, content, f"does not name the file: {err}"))
        except Exception as err:  # noqa: BLE001 - what is looked for
            crashes.append((name, content, f"{type(err).__name__}: {err}"))
    return outcomes, crashes


def main():
    """Fuzz as long as asked for; print the figures, keep the inputs that crashed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=100_000, help="(default: 100000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for inputs that crashed")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    started = time.monotonic()
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="ance-fuzz-", dir=place) as folder:
        outcomes, crashes = fuzz(args.inputs, seed=args.seed, folder=Path(folder))
    kinds = Counter((name, problem[:60]) for name, _, problem in crashes)
    figures = {"inputs": args.inputs, **outcomes, "crashes": len(crashes)}
    figures |= {"kinds": {f"{name}: {problem}": count for (name, problem), count in kinds.items()}}
    figures["seconds"] = round(time.monotonic() - started)
    sys.stdout.write(f"{json.dumps(figures, indent=2)}\n")
    for number, (name, content, _) in enumerate(crashes[:50] if args.keep else []):
        args.keep.mkdir(exist_ok=True)
        (args.keep / f"{number}-{name}").write_bytes(content)
    return bool(crashes)


if __name__ == "__main__":
    sys.exit(main())
