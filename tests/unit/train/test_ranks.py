"""Processes that train together: what they exchange, and that they compute what one would."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ance_plugin.train.ranks import Ranks, _buckets

CPU = torch.device("cpu")
WORKER = Path(__file__).with_name("rank_worker.py")


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def test_single_process_needs_no_launcher():
    """And no torch.distributed: each exchange gives back what it got."""
    ranks = Ranks.from_environment(CPU)
    rows = torch.ones(2, 3, requires_grad=True)
    weight = torch.nn.Parameter(torch.ones(2))
    ranks.sum_gradients([weight])
    ranks.barrier()
    ranks.close()

    (gathered,) = ranks.gather(rows, [2])
    assert (ranks.rank, ranks.world_size, ranks.is_main, ranks.device) == (0, 1, True, CPU)
    assert torch.equal(gathered, rows)
    assert not gathered.requires_grad
    assert weight.grad is None
    assert not torch.distributed.is_initialized()


def test_broadcast_of_one_is_what_json_gives_back():
    """So that a single process sees the same as several."""
    assert Ranks(0, 1, CPU).broadcast({"a": (1, 2.5), "b": None}) == {"a": [1, 2.5], "b": None}
    with pytest.raises(TypeError, match="not JSON serializable"):
        Ranks(0, 1, CPU).broadcast({1, 2})


def test_wrong_numbers_are_refused(monkeypatch):
    """In arguments and in the environment."""
    with pytest.raises(ValueError, match="rank must be from 0 to 1, found 2"):
        Ranks(2, 2, CPU)
    with pytest.raises(ValueError, match=r"rank 0 has 3 rows, announced are \[2\]"):
        Ranks(0, 1, CPU).gather(torch.ones(3, 1), [2])
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ValueError, match="WORLD_SIZE must be a number, found 'two'"):
        Ranks.from_environment(CPU)


def test_more_processes_than_gpus_are_refused(monkeypatch):
    """Said at once, not by a collective that hangs."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "9999")
    with pytest.raises(ValueError, match="LOCAL_RANK is 9999, but there are"):
        Ranks.from_environment(torch.device("cuda"))


def test_buckets_hold_tensors_of_one_type_in_order():
    """A tensor larger than a bucket has its own."""
    large = torch.empty(17 << 20)
    small, double = torch.empty(4), torch.empty(4, dtype=torch.float64)
    tensors = [small, small, double, large, small]

    buckets = list(_buckets(tensors))
    assert [len(bucket) for bucket in buckets] == [2, 1, 1, 1]
    assert [t.data_ptr() for b in buckets for t in b] == [t.data_ptr() for t in tensors]
    assert list(_buckets([])) == []


def start_ranks(world_size, folder, checkpoint):
    """Run the worker as so many processes, and read what each found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(world_size):
        environment = os.environ | {
            "RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, str(WORKER), str(folder), str(checkpoint)]
        processes.append(subprocess.Popen(command, env=environment, cwd=Path.cwd()))
    try:
        assert [process.wait(timeout=300) for process in processes] == [0] * world_size
    finally:
        for process in processes:
            process.kill()
    return [
        json.loads((folder / f"{rank}-of-{world_size}.json").read_text())
        for rank in range(world_size)
    ]


@pytest.mark.slow
def test_two_ranks_compute_what_one_does(tmp_path, tiny_checkpoint):
    """With dropout on, the same losses and summed gradients, kept or recomputed graphs.

    And a rank without a chunk takes part, what JSON holds arrives, a weight that one rank used is
    summed, and one that none used keeps no gradient.
    """
    (single,) = start_ranks(1, tmp_path, tiny_checkpoint)
    first, second = start_ranks(2, tmp_path, tiny_checkpoint)

    for name in ("kept", "cached", "one chunk a side"):
        expected = torch.tensor(single[name]["gradient"])
        found = torch.tensor(first[name]["gradient"])
        assert first[name] == second[name]
        assert first[name]["result"] == pytest.approx(single[name]["result"], rel=1e-5)
        assert (found - expected).norm() < 1e-5 * expected.norm()
    assert first["own chunks"] + second["own chunks"] == single["own chunks"]
    assert min(first["own chunks"], second["own chunks"]) > 0
    assert first["broadcast"] == second["broadcast"] == {"from": 0, "text": "é"}
    assert first["used by one"] == second["used by one"] == [[1.0, 1.0], None]
    assert first["gathered"] == second["gathered"] == [[], [[5.0]] * 3]
