"""One GPU: encoding against its matrix rate, exact search against its memory.

    python benchmarks/gpu.py encode [--lengths 128 512] [--count 65536]
    python benchmarks/gpu.py collection --collection docs.jsonl.gz [--count 200000]
    python benchmarks/gpu.py search [--vectors 10000000] [--batches 1 32 512]

``encode``: RoBERTa-base with ANCE's head (random weights), texts of one length that are token ids
already, to vectors on the CPU; beside it transformers' forward pass in batches of 32 as Pyserini
runs it, in float32 and bfloat16. Work is counted as in ``encoding.py``. ``collection``: the same
encoder from a file to vectors on disk, texts repeated until there are enough. ``search``: the top
100 of float16 vectors of 768 numbers, drawn on the GPU, for batches of queries; the bytes of all
vectors over the time of a search are its rate. Its hits are compared with those of float32 products
for the first query.

The ceilings are measured in the same run: bf16 products of 8,192 x 8,192 matrices, and copies
within the GPU's memory, bytes read and written both counted.
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from stock_ance import write_ance
from turns import write_table

_DIMENSION, _K = 768, 100
_WORDS = ["model", "query", "passage", "index", "search", "rank", "vector", "corpus", "topic"]


def main() -> int:
    """Measure one subject, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("subject", choices=list(SUBJECTS))
    parser.add_argument("--collection", help="for collection: what our encode takes")
    parser.add_argument("--count", type=int, default=65_536, help="texts")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512], help="tokens a text")
    parser.add_argument("--vectors", type=int, default=10_000_000)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32, 512], help="of queries")
    parser.add_argument("--threads", type=int, default=8, help="that score what the GPU found")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    sys.stdout.write(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}\n\n")
    SUBJECTS[args.subject](args)
    return 0


def measure_matrix_rate() -> float:
    """Give operations a second of a large bf16 product."""
    left, right = (torch.randn(8192, 8192, device="cuda").bfloat16() for _ in range(2))
    return 2 * 8192**3 / time_repeated(lambda: left @ right, 20)


def measure_copy_rate() -> float:
    """Give bytes a second of a copy within memory, read and written."""
    source = torch.empty(1 << 32, dtype=torch.uint8, device="cuda").random_()
    target = torch.empty_like(source)
    return 2 * source.numel() / time_repeated(lambda: target.copy_(source), 10)


def time_repeated(run: Callable[[], object], repeats: int) -> float:
    """Give the seconds of one of several runs in a row, after two that are not timed."""
    for _ in range(2):
        run()
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(repeats):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - started) / repeats


def measure_encoding(args: argparse.Namespace) -> None:
    """Print texts a second and the share of the matrix rate, by length."""
    from ance_plugin.encode.encoder import Encoder

    peak = measure_matrix_rate()
    rows = [["bf16 products of 8,192", "", "", f"{peak / 1e12:.0f}", "100%"]]
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        write_ance(Path(name) / "ance", _WORDS)
        encoders = {
            precision: Encoder.load(f"{name}/ance", device="cuda", precision=precision)
            for precision in ("fp32", "bf16")
        }
    for length in args.lengths:
        count = args.count * args.lengths[0] // length
        texts = rng.integers(5, 200, (count, length)).tolist()
        ways: dict[str, tuple[int, Callable[[], object]]] = {}
        for precision, encoder in encoders.items():
            share = 16 if precision == "fp32" else 4
            some = torch.tensor(texts[: count // share])
            ways[f"transformers, 32 a batch, {precision}"] = (
                len(some),
                partial(_encode_plainly, encoder, some),
            )
        ways["Encoder, bf16"] = (count, partial(encoders["bf16"].encode_tokens, texts))
        for way, (number, run) in ways.items():
            seconds = _median(run, args.repeats)
            rate = _count_flops(length) * number / seconds
            cells = [f"{number / seconds:,.0f}", f"{rate / 1e12:.0f}", f"{rate / peak:.0%}"]
            rows.append([way, length, *cells])
    write_table(("way", "tokens", "texts/s", "TFLOP/s", "of the matrix rate"), rows)


def _encode_plainly(encoder: "object", ids: torch.Tensor) -> None:
    """Run transformers' forward pass, batch by batch, each fetched before the next."""
    model = encoder._model  # type: ignore[attr-defined]
    with torch.inference_mode():
        for batch in ids.split(32):
            on_device = batch.to("cuda")
            model(on_device, torch.ones_like(on_device)).float().cpu()


def _count_flops(length: int) -> int:
    """Count the products of 12 layers for a text: 24 h^2 a token, 4 h a pair of tokens."""
    return 12 * (24 * _DIMENSION**2 * length + 4 * _DIMENSION * length**2)


def _median(run: Callable[[], object], repeats: int) -> float:
    taken = []
    for turn in range(repeats + 1):
        torch.cuda.synchronize()
        started = time.perf_counter()
        run()
        torch.cuda.synchronize()
        if turn:
            taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def measure_collection(args: argparse.Namespace) -> None:
    """Print passages a second from a file to vectors on disk."""
    from ance_plugin.encode.corpus import encode_collection
    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.formats.collection import Collection

    texts = [document.contents for document in Collection(args.collection)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_ance(folder / "ance", texts)
        with (folder / "docs.tsv").open("w", encoding="utf-8") as file:
            for number in range(args.count):
                text = texts[number % len(texts)].replace("\t", " ").replace("\n", " ")
                file.write(f"{number}\t{text}\n")
        encoder = Encoder.load(str(folder / "ance"), device="cuda")
        lengths = [len(row) for row in encoder.tokenize(texts, 512)]
        started = time.perf_counter()
        encode_collection(Collection(str(folder / "docs.tsv")), encoder, folder / "vectors")
        seconds = time.perf_counter() - started
    sys.stdout.write(
        f"{args.count:,} passages of {np.mean(lengths):.0f} tokens on average in {seconds:.1f} s: "
        f"{args.count / seconds:,.0f} a second\n"
    )


def measure_search(args: argparse.Namespace) -> None:
    """Print queries a second and the rate at which vectors are read, by batch."""
    from ance_plugin.index.on_device import DeviceIndex

    copy = measure_copy_rate()
    torch.manual_seed(0)
    vectors = np.empty((args.vectors, _DIMENSION), np.float16)
    for start in range(0, args.vectors, 1 << 18):
        part = vectors[start : start + (1 << 18)]
        drawn = torch.randn(part.shape, device="cuda")
        part[:] = torch.nn.functional.normalize(drawn, dim=1).half().cpu().numpy()
    started = time.perf_counter()
    index = DeviceIndex(vectors, "cuda")
    torch.cuda.synchronize()
    loading = time.perf_counter() - started
    rows = []
    rng = np.random.default_rng(1)
    for batch in args.batches:
        queries = rng.standard_normal((batch, _DIMENSION)).astype(np.float32)
        search = partial(index.search, queries, _K, args.threads)
        seconds = _median(search, args.repeats)
        rate = vectors.nbytes / seconds
        cells = [f"{seconds * 1e3:.1f}", f"{batch / seconds:,.0f}", f"{rate / 1e12:.2f}"]
        rows.append([batch, *cells, f"{rate / copy:.0%}"])
    write_table(("queries", "ms", "queries/s", "TB/s of vectors", "of the copy rate"), rows)
    same = _agrees(index, vectors, queries[0])
    sys.stdout.write(
        f"\n{args.vectors:,} vectors brought to the GPU in {loading:.1f} s; copy rate "
        f"{copy / 1e12:.2f} TB/s; the first query's hits are "
        f"{'' if same else 'NOT '}those of float32 products\n"
    )


def _agrees(index: "object", vectors: np.ndarray, query: np.ndarray) -> bool:
    """Compare scores, as equal ones may stand in another order in other sums."""
    [(scores, _)] = index.search(query[None], _K)  # type: ignore[attr-defined]
    on_device = torch.from_numpy(query).cuda()
    expected = torch.cat(
        [
            torch.from_numpy(vectors[start : start + (1 << 18)]).cuda().float() @ on_device
            for start in range(0, len(vectors), 1 << 18)
        ]
    )
    best = torch.topk(expected, _K).values.cpu().numpy()
    return bool(np.allclose(scores[:_K], best, rtol=0, atol=1e-4))


SUBJECTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "encode": measure_encoding,
    "collection": measure_collection,
    "search": measure_search,
}

if __name__ == "__main__":
    sys.exit(main())
