"""What decides a model's output: loaded once before any stage, so that a wrong name fails first."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Computing:
    """Where models compute; None leaves it to them, as the commands do.

    Attributes:
        device: cpu, cuda, cuda:1, mps.
        precision: fp32, bf16, fp16.
        batch_size: Texts, or pairs, a batch.
    """

    device: str | None = None
    precision: str | None = None
    batch_size: int | None = None

    @property
    def words(self) -> list[str]:
        """Give the flags."""
        values = {
            "--device": self.device,
            "--precision": self.precision,
            "--batch-size": self.batch_size,
        }
        return [
            word
            for flag, value in values.items()
            if value is not None
            for word in (flag, str(value))
        ]


@dataclass(frozen=True, slots=True)
class Model:
    """An encoder or a cross-encoder by name.

    Attributes:
        name: What its systems are called.
        checkpoint: A folder or a hub name.
        identity: Weights, tokenizer and settings by their hashes, precision and kind of device.
    """

    name: str
    checkpoint: str
    identity: dict[str, Any]


def open_encoder(name: str, checkpoint: str, computing: Computing) -> Model:
    """Load an encoder and let it go, keeping what decides its vectors.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        FormatError: Its files are of no known layout, or weights are missing.
        ValueError: The device or the precision cannot be used here.
    """
    from ance_plugin.encode.encoder import BATCH_SIZE, Encoder

    encoder = Encoder.load(
        checkpoint,
        device=computing.device,
        precision=computing.precision,
        batch_size=computing.batch_size or BATCH_SIZE,
    )
    identity = {**encoder.identity, "tower": encoder.tower}
    return Model(name, checkpoint, {**identity, **_describe(encoder)})


def open_reranker(checkpoint: str, computing: Computing) -> Model:
    """Load a cross-encoder and let it go, keeping what decides its scores.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        FormatError: It is no sequence classifier of one or two classes.
        ValueError: The device or the precision cannot be used here.
    """
    from ance_plugin.rerank.cross_encoder import CrossEncoder

    given = {} if computing.batch_size is None else {"batch_size": computing.batch_size}
    model = CrossEncoder.load(
        checkpoint, device=computing.device, precision=computing.precision, **given
    )
    return Model("rerank", checkpoint, {**model.identify(), **_describe(model)})


def _describe(model: Any) -> dict[str, Any]:  # noqa: ANN401 - Encoder or CrossEncoder, which load PyTorch
    return {
        "precision": model.precision,
        "device": model.device.type,
        "batch_size": model.batch_size,
    }
