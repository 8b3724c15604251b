"""One of several processes that train together; ``test_ranks.py`` starts it and reads its file.

It is no test: it takes the folder to write to and the checkpoint, and its rank from the
environment.
"""

import importlib.util
import json
import sys
from dataclasses import astuple
from pathlib import Path

import torch

from ance_plugin.encode.checkpoint import load_checkpoint
from ance_plugin.train.chunks import assign_chunks, list_texts, plan_chunks
from ance_plugin.train.ranks import Ranks


def load_step_tests():
    """Borrow the batch and the settings of the step's own tests."""
    spec = importlib.util.spec_from_file_location("steps", Path(__file__).with_name("test_step.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_step(steps, ranks, checkpoint, **settings):
    """Loss and summed gradient of two micro-batches."""
    model = load_checkpoint(checkpoint).model.train()
    step = steps.make_step(model, ranks=ranks, **settings)
    batches = [steps.make_batch(seed=seed, num_pieces=2) for seed in (0, 1)]
    results = [step.run(b, 3, micro=micro, weight=0.5) for micro, b in enumerate(batches)]
    ranks.sum_gradients(model.parameters())
    return {
        "result": [number for result in results for number in astuple(result)],
        "gradient": steps.flat_gradient(model).tolist(),
    }


def sum_partly(ranks):
    """Gradients of a weight that only the last rank used, and of one that none did."""
    used, unused = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    if ranks.rank == ranks.world_size - 1:
        used.sum().backward()
    ranks.sum_gradients([used, unused])
    return [None if weight.grad is None else weight.grad.tolist() for weight in (used, unused)]


def main(folder, checkpoint):
    """Write what this rank found."""
    steps = load_step_tests()
    ranks = Ranks.from_environment(torch.device("cpu"))
    batch = steps.make_batch(num_pieces=2)
    plan = plan_chunks(list_texts(batch), 4, chunk_tokens=64)
    counts = [0] * (ranks.world_size - 1) + [3]
    found = {
        "kept": run_step(steps, ranks, checkpoint),
        "cached": run_step(steps, ranks, checkpoint, grad_cache=True),
        "one chunk a side": run_step(steps, ranks, checkpoint, chunk_tokens=10_000),
        "own chunks": len(assign_chunks(plan, ranks.world_size)[ranks.rank]),
        "broadcast": ranks.broadcast({"from": ranks.rank, "text": "é"}),
        "used by one": sum_partly(ranks),
        "gathered": [
            rows.tolist() for rows in ranks.gather(torch.full((counts[ranks.rank], 1), 5.0), counts)
        ],
    }
    ranks.barrier()
    ranks.close()
    name = f"{ranks.rank}-of-{ranks.world_size}.json"
    (Path(folder) / name).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
