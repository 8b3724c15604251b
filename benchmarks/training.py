"""Training steps a second: ours against sentence-transformers' trainer, on the same texts.

    python benchmarks/training.py [--encoder E] [--steps 20] [--batch-size 16] [--repeats 3]
        [--device cuda]

Both train the encoder, all-MiniLM-L6-v2 unless told, mean-pooled, with AdamW and in-batch
negatives: (query, positive, one hard negative) triples, softmax over all documents of the batch
(theirs is MultipleNegativesRankingLoss), dropout on. ``random_models.py`` makes a BERT-base.
Lengths are drawn as in MS MARCO: log-normal, 75 tokens a document on average, at most 128. Repeats
alternate, so that a busy machine slows both; the table has the medians.
"""

import argparse
import random
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable

import numpy as np

ENCODER = "sentence-transformers/all-MiniLM-L6-v2"
_WORDS = (
    *("model", "query", "passage", "index", "search", "rank", "vector", "corpus", "topic"),
    *("river", "stone", "bread", "music", "light", "winter", "garden", "engine", "paper"),
    *("market", "doctor", "school", "planet", "history", "language", "science"),
)
_MAX_TOKENS = 128


def main() -> int:
    """Time both trainers in both precisions, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--encoder", default=ENCODER, help="name or folder of a body for both")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    triples = make_triples(args.steps * args.batch_size)
    contenders: dict[str, Callable[[], float]] = {}
    for precision in ("fp32", "bf16"):
        contenders[f"sentence-transformers {precision}"] = lambda precision=precision: time_theirs(
            args.encoder, triples, args.batch_size, precision, args.device
        )
        contenders[f"ance-plugin {precision}"] = lambda precision=precision: time_ours(
            args.encoder, triples, args.batch_size, precision, args.device
        )
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(args.repeats):
        for name, run in contenders.items():
            seconds[name].append(run())
    sys.stdout.write("| trainer | steps/s | documents/s | against sentence-transformers |\n")
    sys.stdout.write("| --- | --- | --- | --- |\n")
    for name, values in seconds.items():
        rate = args.steps / statistics.median(values)
        base = statistics.median(seconds[f"sentence-transformers {name.split()[-1]}"])
        ratio = base / statistics.median(values)
        documents = rate * 2 * args.batch_size
        sys.stdout.write(f"| {name} | {rate:.2f} | {documents:.0f} | {ratio:.2f} |\n")
    return 0


def make_triples(count: int) -> list[tuple[str, str, str]]:
    """Make texts of MS MARCO's lengths; a word is about a token."""
    rng, lengths = random.Random(0), np.random.default_rng(0)

    def text(mean: float, most: int) -> str:
        drawn = int(np.clip(lengths.lognormal(np.log(mean), 0.5), 4, most - 2))
        return " ".join(rng.choices(_WORDS, k=drawn))

    return [(text(6, 30), text(66, _MAX_TOKENS), text(66, _MAX_TOKENS)) for _ in range(count)]


def time_theirs(
    encoder: str, triples: list[tuple[str, str, str]], batch_size: int, precision: str, device: str
) -> float:
    """Give the seconds of sentence-transformers' training loop, loading left out."""
    from datasets import Dataset, disable_progress_bars
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss

    from ance_plugin.encode.sources import find_checkpoint

    disable_progress_bars()
    model = SentenceTransformer(str(find_checkpoint(encoder)), device=device)
    model.max_seq_length = _MAX_TOKENS
    columns = dict(zip(("anchor", "positive", "negative"), zip(*triples, strict=True), strict=True))
    with tempfile.TemporaryDirectory() as folder:
        settings = SentenceTransformerTrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=batch_size,
            num_train_epochs=1,
            learning_rate=2e-5,
            bf16=precision == "bf16",
            use_cpu=device == "cpu",
            report_to="none",
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        trainer = SentenceTransformerTrainer(
            model=model,
            args=settings,
            train_dataset=Dataset.from_dict({name: list(v) for name, v in columns.items()}),
            loss=MultipleNegativesRankingLoss(model),
        )
        return float(trainer.train().metrics["train_runtime"])


def time_ours(
    name: str, triples: list[tuple[str, str, str]], batch_size: int, precision: str, device: str
) -> float:
    """Give the seconds of our steps on the same triples, tokenizing included as it is there."""
    import torch

    from ance_plugin.encode.checkpoint import load_checkpoint
    from ance_plugin.encode.encoder import Encoder
    from ance_plugin.train.assembly import find_chunk_tokens
    from ance_plugin.train.batches import Batch
    from ance_plugin.train.losses import softmax
    from ance_plugin.train.optimizers import learning_rate, new_optimizer
    from ance_plugin.train.ranks import Ranks
    from ance_plugin.train.step import EncodingStep

    checkpoint = load_checkpoint(name, pooling="mean")
    encoder = Encoder(checkpoint, device=device, precision="fp32")
    model = checkpoint.model.train()
    optimizer = new_optimizer(model, "adamw", lr=2e-5)
    step = EncodingStep(
        model,
        softmax,
        temperature=0.05,
        pad_id=encoder.padding_token,
        device=encoder.device,
        precision="bf16" if precision == "bf16" else "fp32",
        chunk_tokens=find_chunk_tokens(encoder.device.type),
        grad_cache=False,
        seed=0,
        ranks=Ranks(0, 1, encoder.device),
    )
    started = time.perf_counter()
    num_steps = len(triples) // batch_size
    for number in range(num_steps):
        chosen = triples[number * batch_size : (number + 1) * batch_size]
        queries, positives, negatives = (
            [np.asarray(row) for row in encoder.tokenize(texts, _MAX_TOKENS)]
            for texts in zip(*chosen, strict=True)
        )
        size = len(chosen)
        batch = Batch(
            queries=queries,
            documents=[[row] for row in (*positives, *negatives)],
            positives=np.arange(size),
            negatives=np.arange(size, 2 * size)[:, None],
            bias=np.zeros((size, 2 * size), np.float32),
        )
        step.run(batch, number)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(number, peak=2e-5, num_steps=num_steps)
        optimizer.step()
        optimizer.zero_grad()
    if encoder.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
