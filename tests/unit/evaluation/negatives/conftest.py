"""A small world, and a real training run in it that kept its checkpoints."""

import pytest

from ance_plugin.formats.runs import write_run
from ance_plugin.formats.topics import read_topics
from ance_plugin.records import Hit
from ance_plugin.train.__main__ import main
from tests.synthetic import NUM_CLUSTERS, NUM_MEMBERS, make_world


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Compute with one thread: for models this small more of them only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """The world of tests/synthetic.py."""
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="session")
def trained(world, tmp_path_factory):
    """Folder of an ANCE run of 45 steps with checkpoints at 0, 15, 30 and 45."""
    output = tmp_path_factory.mktemp("training") / "ance"
    words = ["--device", "cpu", "--precision", "fp32", "--refresh-precision", "fp32"]
    words += ["--depth", "20", "--batch-size", "16", "--num-negatives", "5"]
    words += ["--negatives-per-topic", "1", "--learning-rate", "0.003", "--num-steps", "45"]
    words += ["--refresh", "sync", "--refresh-steps", "15", "--keep-checkpoints", "4"]
    assert main(["ance", *world.flags(), *words, "--output", str(output)]) == 0
    return output


@pytest.fixture(scope="session")
def bm25_run(world, tmp_path_factory):
    """A run of the dev topics that finds documents of other clusters, as BM25 would."""
    run = {}
    for place, topic in enumerate(read_topics(world.topics("dev"))):
        cluster = (int(topic.qid[1:].split("-")[0]) + 1) % NUM_CLUSTERS
        docids = [f"d{cluster}-{(place + n) % NUM_MEMBERS}" for n in range(12)]
        run[topic.qid] = [Hit(docid, -float(n)) for n, docid in enumerate(docids)]
    path = tmp_path_factory.mktemp("bm25") / "bm25.trec"
    write_run(path, run, tag="bm25")
    return path
