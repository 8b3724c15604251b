"""Recipes: settings of a training run in a TOML file a person can read.

Its tables are the groups of ``settings``; what a recipe leaves out has the default, and a flag
beside it wins.
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAliasType, Union, get_args, get_origin, get_type_hints

from ance_plugin.encode.settings import EncoderSettings
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
_UNIONS = (Union, UnionType)  # Python's own name of ``A | B`` depends on A
_NOT_IN_RECIPES = {"init"}  # it belongs to a run, as the data does
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
}


def read_recipe(name: str) -> dict[str, dict[str, Any]]:
    """Read a recipe: values of the groups' fields, in TOML tables named as the groups.

    Args:
        name: One of those that come along, or a path to a ``.toml`` file.

    Returns:
        group -> field -> value.

    Raises:
        FileNotFoundError: There is no such recipe.
        FormatError: It is no TOML, sets what does not exist, or a value is of another type.
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
        _check(values, kind, f"{path}: [{group}]")
        overrides = values.get("overrides", {})
        _check(overrides, EncoderSettings, f"{path}: [{group}.overrides]")
    return content


def _check(values: Mapping[str, Any], kind: type, where: str) -> None:
    """Raise FormatError for a value that no field takes; its range is for the field to check."""
    kinds = get_type_hints(kind)
    unknown = sorted(values.keys() - kinds.keys() | values.keys() & _NOT_IN_RECIPES)
    if unknown:
        raise FormatError(f"{where} has no {', '.join(unknown)}")
    for name, value in values.items():
        if not _fits(value, kinds[name]):
            expected = _describe(kinds[name])
            raise FormatError(f"{where} {name} must be {expected}, found {value!r}")


def _fits(value: object, kind: Any) -> bool:  # noqa: ANN401 - a type as it was annotated
    if isinstance(kind, TypeAliasType):
        return _fits(value, kind.__value__)
    origin, parts = get_origin(kind), get_args(kind)
    if origin in _UNIONS:
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return isinstance(value, str)
    if origin is tuple:
        return isinstance(value, list)
    if origin in (dict, Mapping):
        return isinstance(value, dict) and all(_fits(part, parts[1]) for part in value.values())
    if isinstance(value, bool) or kind is bool:
        return kind in (bool, Any) and isinstance(value, bool)
    return kind is Any or isinstance(value, (int, float) if kind is float else kind)


def _describe(kind: Any) -> str:  # noqa: ANN401
    """Say in words what a field takes; TOML has no null, so None is left out."""
    if isinstance(kind, TypeAliasType):
        return _describe(kind.__value__)
    if get_origin(kind) in _UNIONS:
        return _describe(next(part for part in get_args(kind) if part is not type(None)))
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) in (dict, Mapping):
        return "a table of numbers" if get_args(kind)[1] is float else "a table"
    return _WORDS.get(kind, "a list")
