"""A cross-encoder that judges candidates: for the false-negative filter, and to learn from."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ance_plugin.formats.collection import Collection
from ance_plugin.records import Document
from ance_plugin.train.inputs import Inputs
from ance_plugin.train.negatives.mining import Teacher
from ance_plugin.train.settings import TrainSettings

if TYPE_CHECKING:
    from ance_plugin.rerank.cross_encoder import CrossEncoder


def load_teacher(
    settings: TrainSettings, inputs: Inputs, *, device: str | None = None
) -> Teacher | None:
    """Load the cross-encoder that a run names, and the texts of the collection.

    The texts are held in memory, as candidates are anywhere in it.

    Args:
        settings: Name it, and say where it computes.
        inputs: The training topics.
        device: Where to compute, unless the settings say; None is the best there is.

    Returns:
        What gives log-odds of relevance; None where no teacher is named.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        FormatError: It is no classifier.
    """
    if settings.data.teacher is None:
        return None
    from ance_plugin.rerank.cross_encoder import CrossEncoder

    model = CrossEncoder.load(settings.data.teacher, device=settings.refresh.device or device)
    documents = {document.docid: document for document in Collection(settings.data.collection)}
    return new_teacher(model, {t.qid: t.text for t in inputs.topics.topics}, documents.__getitem__)


def new_teacher(
    model: "CrossEncoder", queries: dict[str, str], find_document: Callable[[str], Document]
) -> Teacher:
    """Make a teacher of a cross-encoder.

    Args:
        model: One logit, taken as log-odds, or two classes, of which the second is relevance.
        queries: Text of each topic.
        find_document: Gives the document of a docid.

    Returns:
        What scores a topic's documents.
    """

    def judge(qid: str, docids: Sequence[str]) -> NDArray[np.float32]:
        if not docids:
            return np.empty(0, np.float32)
        scores = model.score([queries[qid]] * len(docids), [find_document(d) for d in docids])
        return scores if model.num_labels == 1 else _to_log_odds(scores)

    return judge


def _to_log_odds(log_probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    exact = np.minimum(log_probabilities.astype(np.float64), -1e-12)
    odds: NDArray[np.float32] = (exact - np.log(-np.expm1(exact))).astype(np.float32)
    return odds
