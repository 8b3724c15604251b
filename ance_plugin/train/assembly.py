"""The parts of a trainer that its settings decide: what it draws, and how it computes a step."""

from ance_plugin.encode.checkpoint import Checkpoint
from ance_plugin.encode.device import choose_precision
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.train.batches import BatchSampler
from ance_plugin.train.inputs import Inputs
from ance_plugin.train.losses import find_loss
from ance_plugin.train.ranks import Ranks
from ance_plugin.train.settings import TrainSettings
from ance_plugin.train.step import EncodingStep

_NORMALIZED_TEMPERATURE = 0.05


def new_sampler(settings: TrainSettings, inputs: Inputs, encoder: EncoderSettings) -> BatchSampler:
    """Make what draws batches of a run's inputs."""
    optimization = settings.optimization
    is_chunked = settings.start.maxp == "chunks"
    return BatchSampler(
        inputs.corpus,
        inputs.topics,
        batch_size=optimization.batch_size,
        negatives_per_topic=optimization.negatives_per_topic,
        in_batch_weight=optimization.in_batch_weight,
        chunk_tokens=encoder.max_document_tokens if is_chunked else None,
        has_teacher=optimization.loss in ("margin-mse", "kl"),
        seed=optimization.seed,
    )


def new_step(settings: TrainSettings, checkpoint: Checkpoint, ranks: Ranks) -> EncodingStep:
    """Make what computes a step's loss and gradients, of a model on the ranks' device."""
    optimization = settings.optimization
    loss = find_loss(
        optimization.loss.replace("-", "_"),
        num_negatives=optimization.negatives_per_topic,
        has_teacher=settings.data.teacher is not None,
    )
    return EncodingStep(
        checkpoint.model,
        loss,
        temperature=find_temperature(optimization.temperature, checkpoint.settings),
        pad_id=int(checkpoint.tokenizer.pad_token_id),
        device=ranks.device,
        precision=choose_precision(optimization.precision, ranks.device),
        chunk_tokens=optimization.chunk_tokens or find_chunk_tokens(ranks.device.type),
        grad_cache=optimization.grad_cache,
        seed=optimization.seed,
        ranks=ranks,
    )


def find_temperature(given: float | None, encoder: EncoderSettings) -> float:
    """Give what scores are divided by: cosines need to be spread, inner products do not."""
    if given is not None:
        return given
    return _NORMALIZED_TEMPERATURE if encoder.is_normalized else 1.0


def find_chunk_tokens(device: str) -> int:
    """Give what was fastest: on a CPU small chunks, as they pad least and stay in its caches."""
    return 1024 if device == "cpu" else 16_384
