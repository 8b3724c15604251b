"""A checkpoint's folder, read once, and what a layout makes of it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor

from ance_plugin.artifacts import read_json
from ance_plugin.encode.model import EncoderModel
from ance_plugin.encode.settings import EncoderSettings
from ance_plugin.encode.weights import read_weights
from ance_plugin.errors import FormatError, first_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

type Tower = Literal["query", "document"]

# Where a layout of others cannot say all our settings, an export writes them into config.json.
SETTINGS_KEY = "ance_plugin"
# Put around a whole model: DistributedDataParallel's, and Pyserini's on the hub.
_WRAPPERS = ("module.", "ance_encoder.")
_TOKENIZER_FILES = (
    *("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "bpe.codes"),
    *("sentencepiece.bpe.model", "sentencepiece.model", "spiece.model"),
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a checkpoint is made of; ``tower`` is the side that one of two towers encodes."""

    model: EncoderModel
    tokenizer: "PreTrainedTokenizerBase"
    settings: EncoderSettings
    tower: Tower | None = None


class CheckpointFolder:
    """A folder whose configuration and weights are read when they are first asked for.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def config(self) -> dict[str, Any]:
        """Content of ``config.json``; empty where there is none."""
        return read_optional_json(self.path / "config.json")

    @cached_property
    def weights(self) -> dict[str, Tensor]:
        """Every tensor by its key, without the prefixes that wrappers around the model left."""
        weights: dict[str, Tensor] = {}
        for key, tensor in read_weights(self.path).items():
            name = key
            for wrapper in _WRAPPERS:
                name = name.removeprefix(wrapper)
            if name in weights:
                raise FormatError(f"{self.path}: has {name} twice, once as {key}")
            weights[name] = tensor
        return weights

    @property
    def exported_settings(self) -> EncoderSettings | None:
        """The settings that an export of ours wrote into ``config.json``, else None."""
        content = self.config.get(SETTINGS_KEY)
        if content is None:
            return None
        try:
            return EncoderSettings(**content)
        except (TypeError, ValueError) as err:
            problem = f"{SETTINGS_KEY} holds no settings ({err})"
            raise FormatError(f"{self.path / 'config.json'}: {problem}") from err

    def has(self, name: str) -> bool:
        """Say whether a file is there."""
        return (self.path / name).is_file()

    def has_weights(self, start: str) -> bool:
        """Say whether some key starts so."""
        return any(key.startswith(start) for key in self.weights)


def read_optional_json(file: Path) -> dict[str, Any]:
    """Read a JSON object; empty where there is no such file."""
    return read_json(file) if file.is_file() else {}


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """Load the tokenizer that lies in a folder; code that it brings is not run.

    Args:
        folder: Where its files lie.

    Returns:
        The tokenizer.

    Raises:
        FormatError: Its files are missing or of no kind that transformers knows.
    """
    from transformers import AutoTokenizer

    # transformers makes up a vocabulary of five tokens where there is none.
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise FormatError(f"{folder}: expected a tokenizer, one of {', '.join(_TOKENIZER_FILES)}")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            folder, use_fast=True, trust_remote_code=False, local_files_only=True
        )
    except Exception as err:
        reason = first_line(err)
        raise FormatError(f"{folder}: its tokenizer cannot be loaded ({reason})") from err
    return tokenizer
