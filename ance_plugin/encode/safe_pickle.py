"""Read a pickled pandas DataFrame without pandas, and without letting the pickle do anything.

A pickle names the functions that build it. Each name that a frame needs is mapped to an inert
stand-in below, which keeps what it is given; any other name is refused, and so is setting the
state of anything else. numpy's own pickling is not used either: a crafted state makes it read past
a list, or take bytes for pointers.
"""

import pickle
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, ClassVar

import numpy as np

_DTYPES = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "O8"}
_MOST_COLUMNS = 64  # a crafted range would fill the memory
_BYTE_ORDERS = {"=", "|", {"little": "<", "big": ">"}[sys.byteorder]}


class Frame:
    """Stands for a DataFrame: columns by name, each a list of values."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the columns out of the block manager."""
        manager = state.get("_mgr", state.get("_data"))
        if not isinstance(manager, _Manager):
            raise pickle.UnpicklingError("has a DataFrame without blocks")
        self._columns = manager.to_columns()

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._columns)

    def __getitem__(self, name: str) -> list[Any]:
        return self._columns[name]


class _Array:
    """Stands for a numpy array until its state says what it is."""

    def __init__(self) -> None:
        self.value: np.ndarray[Any, Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, is_fortran, content = state
        if dtype != np.dtype("O"):
            self.value = _view_buffer(content, dtype, shape, "F" if is_fortran else "C")
            return
        self.value = np.empty(len(content), dtype=object)
        for place, item in enumerate(content):
            self.value[place] = item
        self.value = self.value.reshape(shape, order="F" if is_fortran else "C")


def _unwrap(made: Any) -> Any:  # noqa: ANN401 - data
    """Give what a stand-in holds."""
    if isinstance(made, _Strings):
        return made.to_list()
    return made.value if isinstance(made, _Array) else made


class _Block:
    """Some of the columns, side by side: ``values`` has one row a column."""

    def __init__(self, values: Any, placement: Any, ndim: int = 2) -> None:  # noqa: ANN401 - data
        del ndim
        if isinstance(placement, slice):
            places = range(placement.start, placement.stop, placement.step or 1)
            self.places = list(places[:_MOST_COLUMNS])
        else:
            self.places = [int(place) for place in _unwrap(placement)]
        rows = _unwrap(values)
        self.rows = [rows] if isinstance(rows, list) or rows.ndim == 1 else list(rows)


class _Manager:
    """Stands for pandas' BlockManager, of 1.3 and later, or of before with ``__setstate__``."""

    def __init__(self, blocks: Sequence[_Block] = (), axes: Sequence[Any] = ()) -> None:
        self.blocks = blocks
        self.axes = axes

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        content = state[3]["0.14.1"]
        self.axes = content["axes"]
        self.blocks = [_Block(block["values"], block["mgr_locs"]) for block in content["blocks"]]

    def to_columns(self) -> dict[str, list[Any]]:
        """Give each column's values by the column's name."""
        names = list(_unwrap(self.axes[0]))
        return {
            str(_unwrap(names[place])): [_unwrap(value) for value in values]
            for block in self.blocks
            for place, values in zip(block.places, block.rows, strict=True)
        }


class _Index:
    """Stands for every kind of Index, and for types that only describe values."""

    def __init__(self, *args: Any) -> None:  # noqa: ANN401 - kept by none
        del args


class _Strings:
    """Stands for pandas' two arrays of strings."""

    def __init__(self) -> None:
        self._values: list[Any] = []

    def __setstate__(self, state: Any) -> None:  # noqa: ANN401 - of several pandas versions
        content = state[1] if isinstance(state, tuple) and len(state) > 1 else state
        if isinstance(content, tuple):
            content = content[0]
        if isinstance(content, dict):
            content = content.get("_pa_array", content.get("_ndarray"))
        if content is None:
            raise pickle.UnpicklingError("has strings of an unknown kind")
        self._values = list(_unwrap(content)) if isinstance(content, _Array) else content.tolist()

    def to_list(self) -> list[Any]:
        """Give the strings."""
        return self._values


def _make_index(kind: type, content: dict[str, Any]) -> Any:  # noqa: ANN401 - labels
    del kind
    data = content.get("data")
    return range(0) if data is None else _unwrap(data)


def _make_dtype(name: str, *flags: object) -> np.dtype[Any]:
    del flags
    if name not in _DTYPES:
        raise pickle.UnpicklingError(f"has an array of the type {name!r}")
    return np.dtype(name)


def _make_array(kind: type, shape: tuple[int, ...], code: bytes) -> _Array:
    del kind, shape, code
    return _Array()


def _view_buffer(
    buffer: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: str
) -> np.ndarray[Any, Any]:
    array: np.ndarray[Any, Any] = np.frombuffer(buffer, dtype=dtype).reshape(
        shape, order="F" if order == "F" else "C"
    )
    return array


def _restore_strings(data: tuple[Any, ...]) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Make Arrow's array of strings, and refuse one whose offsets lead outside of its buffers."""
    pa = import_module("pyarrow")

    alias, length, num_null, offset, buffers = data[:5]
    try:
        array = pa.Array.from_buffers(
            alias,
            length,
            [None if b is None else pa.py_buffer(b) for b in buffers],
            num_null,
            offset,
        )
        array.validate(full=True)
    except (pa.ArrowException, ValueError) as err:
        raise pickle.UnpicklingError(f"has a damaged Arrow array ({err})") from err
    return array


def _name_type(alias: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    pa = import_module("pyarrow")

    if alias not in ("string", "large_string"):
        raise pickle.UnpicklingError(f"has an Arrow array of the type {alias!r}")
    return {"string": pa.string(), "large_string": pa.large_string()}[alias]


def _chunk_arrow(chunks: list[Any], kind: Any = None) -> Any:  # noqa: ANN401 - pyarrow has no types
    pa = import_module("pyarrow")

    return pa.chunked_array(chunks, kind)


def _make_bytes(content: str | bytes = b"", encoding: str = "latin1") -> bytes:
    """Make bytes; protocols below 3 write them as text in Latin 1."""
    if isinstance(content, str):
        if encoding not in ("latin1", "latin-1"):
            raise pickle.UnpicklingError(f"encodes to {encoding!r}")
        return content.encode("latin1")
    return bytes(memoryview(content))  # not bytes(n), which would reserve any amount


_STAND_INS: dict[str, Callable[..., Any]] = {
    "DataFrame": Frame,
    "BlockManager": _Manager,
    "_unpickle_block": _Block,
    "new_block": _Block,
    "_new_Index": _make_index,
    "Index": _Index,
    "RangeIndex": _Index,
    "Int64Index": _Index,
    "StringDtype": _Index,
    "ArrowStringArray": _Strings,
    "StringArray": _Strings,
    "_reconstruct": _make_array,
    "_frombuffer": _view_buffer,
    "ndarray": _Index,
    "dtype": _make_dtype,
    "slice": slice,
    "_restore_array": _restore_strings,
    "chunked_array": _chunk_arrow,
    "py_buffer": _make_bytes,
    "bytearray": _make_bytes,
    "bytes": _make_bytes,
    "type_for_alias": _name_type,
    "encode": _make_bytes,
}
_PACKAGES = {"pandas", "numpy", "pyarrow", "builtins", "__builtin__", "_codecs"}


class FrameUnpickler(pickle._Unpickler):
    """An unpickler that builds a ``Frame`` and nothing that could act."""

    stack: list[Any]

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as in pickle
        """Give the stand-in for a name of pandas, numpy or pyarrow.

        Args:
            module: As the pickle names it.
            name: As the pickle names it.

        Returns:
            The stand-in.

        Raises:
            UnpicklingError: A DataFrame does not need this name.
        """
        if module.partition(".")[0] not in _PACKAGES or name not in _STAND_INS:
            raise pickle.UnpicklingError(
                f"names {module}.{name}, which a DataFrame of texts and vectors does not need"
            )
        return _STAND_INS[name]

    def persistent_load(self, pid: Any) -> Any:  # noqa: ANN401 - as in pickle
        """Refuse: a frame has no references to elsewhere."""
        raise pickle.UnpicklingError("refers to objects outside of the file")

    def load_build(self) -> None:
        """Set the state of what has one here; of anything else, classes above all, refuse to."""
        state = self.stack.pop()
        made = self.stack[-1]
        if type(made) in (Frame, _Manager, _Strings, _Array):
            made.__setstate__(state)
        elif isinstance(made, np.dtype):
            if state[1] not in _BYTE_ORDERS or any(part is not None for part in state[2:5]):
                raise pickle.UnpicklingError("has an array of another byte order or of records")
        elif type(made) is not _Index:
            raise pickle.UnpicklingError(f"sets the state of a {type(made).__name__}")

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
    }
