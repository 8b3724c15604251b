"""The encoder that training starts from: as it is, or with a new ANCE head."""

from dataclasses import replace

import pytest
import torch

from ance_plugin.encode import checkpoint
from ance_plugin.encode.checkpoint import save_checkpoint
from ance_plugin.encode.encoder import Encoder
from ance_plugin.train.settings import Start
from ance_plugin.train.start import load_start


def test_encoder_stays_as_it_is(world, encoder):
    """Without a head to add it is the checkpoint's own, with its overrides."""
    found = load_start(Start(world.init, overrides={"max_document_tokens": 9}), seed=0)

    assert found.identify()["weights_sha256"] == encoder.identity["weights_sha256"]
    assert found.settings.max_document_tokens == 9
    assert found.model.head is None


def test_new_head_depends_on_the_seed_alone(world):
    """Its bias is zero; two runs of one seed start from the same weights."""
    heads = [load_start(Start(world.init, head_dimension=24), seed=s).model.head for s in (1, 1, 2)]

    weights = [head.embeddingHead.weight for head in heads]
    assert weights[0].shape == (24, 32)
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert weights[0].std().item() == pytest.approx(0.02, rel=0.1)
    assert not heads[0].embeddingHead.bias.any()


@pytest.fixture(scope="module")
def with_head(world, tmp_path_factory):
    """Folder of a checkpoint with a head of 24 dimensions."""
    folder = tmp_path_factory.mktemp("head") / "encoder"
    save_checkpoint(load_start(Start(world.init, head_dimension=24), seed=3), folder)
    return folder


def test_head_of_that_width_is_kept(with_head):
    """A second stage with the same recipe goes on with the head of the first."""
    before = Encoder.load(str(with_head), device="cpu").identity["weights_sha256"]

    found = load_start(Start(str(with_head), head_dimension=24), seed=9)

    assert found.identify()["weights_sha256"] == before


def test_head_of_another_width_is_refused(with_head):
    """The message has both widths."""
    expected = "has a head of 24 dimensions already; leave out --head-dimension 16"
    with pytest.raises(ValueError, match=expected):
        load_start(Start(str(with_head), head_dimension=16), seed=0)


def test_tower_is_refused(world, monkeypatch):
    """ANCE trains one encoder for both sides."""
    real = checkpoint.load_checkpoint
    monkeypatch.setattr(
        checkpoint, "load_checkpoint", lambda name, **o: replace(real(name, **o), tower="query")
    )
    with pytest.raises(ValueError, match="is the tower that encodes a query; ANCE trains one"):
        load_start(Start(world.init), seed=0)


def test_checkpoint_that_is_not_there(tmp_path):
    """A folder that does not exist is no name on the hub either."""
    with pytest.raises(FileNotFoundError, match="gone: there is no such folder"):
        load_start(Start(str(tmp_path / "gone")), seed=0)
