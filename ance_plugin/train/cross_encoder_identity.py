"""What a cross-encoder's training is of, so that nothing else goes on from it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ance_plugin import artifacts
from ance_plugin.records import Document
from ance_plugin.train.cross_encoder_settings import CrossEncoderSettings, Dev
from ance_plugin.train.groups import Group

KIND = "cross-encoder"


def describe_training(
    groups: Sequence[Group],
    documents: Mapping[str, Document],
    settings: CrossEncoderSettings,
    dev: Dev | None,
) -> dict[str, Any]:
    """Give the settings, and hashes of all that is learned from and chosen by."""
    return {
        "settings": settings.to_json(),
        "data_sha256": _hash(groups, (documents[docid] for docid in sorted(documents))),
        "num_topics": len(groups),
        "dev": _describe_dev(dev),
    }


def require_finished(output: Path, described: Mapping[str, Any], *, init: str) -> None:
    """Raise unless an output is whole and what this training makes.

    Args:
        output: What stands where the training would publish.
        described: Of ``describe_training``.
        init: The model to start from, by its name.

    Raises:
        ArtifactError: It is something else, or damaged.
        MismatchError: It is of other settings or data, or began with another model.
    """
    found = artifacts.verify(output, KIND)
    expected = {**json.loads(json.dumps(described)), "init": init}
    found["init"] = (found.get("init") or {}).get("name")
    artifacts.require_equal(
        expected, {name: found.get(name) for name in expected}, what=f"--resume: {output}"
    )


def _describe_dev(dev: Dev | None) -> dict[str, Any] | None:
    if dev is None:
        return None
    hashed = _hash(sorted(dev.run.items()), sorted(dev.queries.items()), sorted(dev.qrels.items()))
    return {"measure": dev.measure, "rerank_depth": dev.depth, "data_sha256": hashed}


def _hash(*parts: Iterable[Any]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for content in part:
            digest.update(repr(content).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()
