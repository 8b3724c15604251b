"""What to do with an output folder: begin a run, or go on with the one that is there."""

from dataclasses import dataclass
from pathlib import Path

from ance_plugin import artifacts
from ance_plugin.errors import ArtifactError, MismatchError
from ance_plugin.train.folder import TrainingFolder
from ance_plugin.train.inputs import Inputs, check_data, hash_inputs
from ance_plugin.train.settings import TrainSettings
from ance_plugin.version import describe_versions


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with an output folder.

    Attributes:
        folder: The output.
        settings: Of the run.
        is_resumed: Whether the folder holds a run that is to go on.
    """

    folder: TrainingFolder
    settings: TrainSettings
    is_resumed: bool


def plan_new(output: Path, settings: TrainSettings) -> Plan:
    """Plan a new run, after looking at everything that is cheap to look at.

    Raises:
        ArtifactError: A run was started in ``output`` already.
        FileNotFoundError: Something that the settings name is not there.
        FormatError: Topics or judgments are malformed.
    """
    folder = TrainingFolder(output)
    if folder.settings.exists():
        raise ArtifactError(
            f"{output}: holds a training run already; give --resume to go on with it, or name "
            "another --output"
        )
    if output.exists() and not output.is_dir():
        raise ArtifactError(f"{output}: is a file; name another --output")
    check_data(settings.data)
    return Plan(folder, settings, is_resumed=False)


def plan_resumed(output: Path) -> Plan:
    """Plan to go on with a run, as its own settings say.

    Raises:
        FileNotFoundError: No run was started in ``output``.
        ArtifactError: Its settings are damaged.
    """
    folder = TrainingFolder(output)
    return Plan(folder, read_settings(folder), is_resumed=True)


def read_settings(folder: TrainingFolder) -> TrainSettings:
    """Read the settings of a run that was started.

    Raises:
        FileNotFoundError: No run was started there.
        ArtifactError: They are damaged.
    """
    content = folder.require_settings()
    try:
        return TrainSettings.from_json(content["settings"])
    except (KeyError, TypeError, ValueError) as err:
        raise ArtifactError(f"{folder.settings}: is damaged ({err})") from err


def require_inputs(folder: TrainingFolder, inputs: Inputs) -> None:
    """Refuse topics, judgments or BM25 candidates that have changed since the run began.

    Raises:
        MismatchError: They have.
    """
    known = folder.require_settings().get("inputs", {})
    what = f"{folder.path}: what the run reads has changed since it began"
    artifacts.require_equal(hash_inputs(inputs), known, what=what)


def write_settings(folder: TrainingFolder, settings: TrainSettings, inputs: Inputs) -> None:
    """Write what the run was asked for and what it reads, where it has just begun.

    Raises:
        MismatchError: Another run began there meanwhile.
    """
    folder.finished.unlink(missing_ok=True)
    if folder.settings.exists():
        if read_settings(folder) != settings:
            raise MismatchError(f"{folder.settings}: was written meanwhile by another run")
        return
    content = {
        "settings": settings.to_json(),
        "inputs": hash_inputs(inputs),
        "versions": describe_versions("torch", "transformers"),
    }
    folder.write_settings(content)
