"""Recipes: settings of a training run in a TOML file a person can read.

Its tables are the groups of ``settings``; what a recipe leaves out has the default, and a flag
beside it wins.
"""

import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

from ance_plugin.errors import FormatError
from ance_plugin.train.negatives.settings import MiningSettings
from ance_plugin.train.settings import Optimization, Refresh, Start

RECIPES_DIR = Path(__file__).parent / "recipes"
GROUPS: dict[str, type] = {
    "start": Start,
    "optimization": Optimization,
    "negatives": MiningSettings,
    "refresh": Refresh,
}


def read_recipe(name: str) -> dict[str, dict[str, Any]]:
    """Read a recipe: values of the groups' fields, in TOML tables named as the groups.

    Args:
        name: One of those that come along, or a path to a ``.toml`` file.

    Returns:
        group -> field -> value.

    Raises:
        FileNotFoundError: There is no such recipe.
        FormatError: It is no TOML, or sets what does not exist.
    """
    path = Path(name) if name.endswith(".toml") else RECIPES_DIR / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES_DIR.glob("*.toml")))
        raise FileNotFoundError(
            f"{name}: there is no such recipe; there are {known}, or give a file"
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise FormatError(f"{path}: is not valid TOML ({err})") from err
    for group, values in content.items():
        kind = GROUPS.get(group)
        if kind is None or not isinstance(values, dict):
            raise FormatError(f"{path}: [{group}] is unknown; there are {', '.join(GROUPS)}")
        unknown = sorted(values.keys() - {item.name for item in fields(kind)})
        if unknown:
            raise FormatError(f"{path}: [{group}] has no {', '.join(unknown)}")
    return content
