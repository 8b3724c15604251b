"""The table of layouts: what tells each from its files, and what loads it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ance_plugin.artifacts import METADATA
from ance_plugin.encode.layouts.ance import is_ance, is_microsoft, load_ance
from ance_plugin.encode.layouts.dpr import is_dpr, load_dpr
from ance_plugin.encode.layouts.folder import CheckpointFolder, Parts
from ance_plugin.encode.layouts.own import is_own, load_own
from ance_plugin.encode.layouts.plain import is_plain, load_plain
from ance_plugin.encode.layouts.sentence_transformers import (
    MODULES,
    is_sentence_transformers,
    load_sentence_transformers,
)
from ance_plugin.errors import FormatError


@dataclass(frozen=True, slots=True)
class Layout:
    """A way in which checkpoints lie on disk.

    Attributes:
        name: What people call it.
        matches: Says of a folder whether it is laid out so, from its files alone.
        load: Loads it; the settings that a caller gives may be needed, and are not yet applied.
    """

    name: str
    matches: Callable[[CheckpointFolder], bool]
    load: Callable[[CheckpointFolder, Mapping[str, Any]], Parts]


# The first that matches is taken: a layout stands before those that it is a special case of.
LAYOUTS = (
    Layout(
        "sentence-transformers",
        is_sentence_transformers,
        lambda folder, _: load_sentence_transformers(folder),
    ),
    Layout("ance-plugin", is_own, lambda folder, _: load_own(folder)),
    Layout("DPR", is_dpr, lambda folder, _: load_dpr(folder)),
    Layout("microsoft/ANCE", is_microsoft, lambda folder, _: load_ance(folder)),
    Layout("Pyserini", is_ance, lambda folder, _: load_ance(folder)),
    Layout("transformers", is_plain, load_plain),
)


def find_layout(folder: CheckpointFolder) -> Layout:
    """Find how a checkpoint lies on disk.

    Args:
        folder: The checkpoint's.

    Returns:
        The first layout of the table that matches.

    Raises:
        FormatError: In no way known here.
    """
    for layout in LAYOUTS:
        if layout.matches(folder):
            return layout
    raise FormatError(
        f"{folder.path}: expected {MODULES} (sentence-transformers), {METADATA} (ance-plugin) "
        "or config.json (Pyserini, microsoft/ANCE, DPR, transformers) in it"
    )
