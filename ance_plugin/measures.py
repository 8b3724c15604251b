"""Effectiveness as trec_eval measures it, computed by ranx.

Three rules make ranx agree with trec_eval: hits are in the order of ``ranking`` before ranx sees
them (its own sort scrambles ties), every topic of the qrels counts (``trec_eval -c``; one without
hits, or without a relevant document, counts zero), and negative relevance means unjudged.

nDCG is ``ndcg_cut``: the gain is the relevance itself, in every grade above zero, so it takes no
``-l2``. Recall and map divide by all relevant documents and precision by k, however few the hits.
``bpref`` is trec_eval's also where no document is judged not relevant; ranx alone divides by zero
there. ranx's ``rbp`` is left out: it weighs by grades where its definition says 0 or 1.

``judged@k`` and ``hole_rate@k`` are not ranx's: the shares of the first k hits that have a judgment
and that have none, over as many hits as there are. They say how far the other values can be trusted
where a system was not pooled. Both are zero for a topic without hits.
"""

import logging
import math
import os
import re
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from itertools import repeat
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ance_plugin.interrupts import interrupting_after
from ance_plugin.packed_hits import ranked_docids
from ance_plugin.ranking import order
from ance_plugin.records import Hit, Qrels, Run

logger = logging.getLogger(__name__)

DEFAULT_MEASURES = ("ndcg@10", "recall@100", "mrr@10")

_GRADED = ("dcg", "dcg_burges", "ndcg", "ndcg_burges")
_BINARY = ("f1", "hit_rate", "hits", "map", "mrr", "precision", "recall")
_JUDGMENT = ("hole_rate", "judged")
_WITHOUT_CUTOFF = ("bpref", "r-precision")
_KNOWN = (
    f"{', '.join(sorted(_GRADED + _BINARY + _JUDGMENT))} (each may have a cutoff, as in ndcg@10), "
    f"{', '.join(_WITHOUT_CUTOFF)}; "
    "all but the dcg family, judged and hole_rate take a level (map-l2 counts grades from 2)"
)
_NAME = re.compile(r"([a-z_]+|f1|r-precision)(?:@([1-9]\d*))?(?:-l([1-9]\d*))?")
_UNJUDGED = -1.0  # the number of any document without a judgment


@dataclass(frozen=True, slots=True)
class _Measure:
    name: str
    base: str
    cutoff: int | None
    level: int


def check_measures(names: Iterable[str]) -> None:
    """Refuse a measure that does not exist, without importing ranx.

    Args:
        names: ranx names such as ``ndcg@10``, ``recall@100``, ``map@1000-l2``.

    Raises:
        ValueError: There are no names, or one is unknown; the message has it and all that exist.
    """
    if not [_parse(name) for name in names]:
        raise ValueError(f"name at least one measure: {_KNOWN}")


def is_lower_better(name: str) -> bool:
    """Say whether a smaller value of a measure is the better one: of ``hole_rate`` alone."""
    return _parse(name).base == "hole_rate"


def find_cutoff(name: str) -> int | None:
    """Return how many hits of a topic a measure looks at; None where it looks at all."""
    return _parse(name).cutoff


def find_level(name: str) -> int:
    """Return the least relevance that a measure counts as relevant."""
    return _parse(name).level


def per_topic(run: Run, qrels: Qrels, measures: Sequence[str]) -> dict[str, dict[str, float]]:
    """Measure a run on every topic of the qrels.

    Args:
        run: Hits in any order, ranked here by ``ranking``; topics without judgments are ignored.
        qrels: Judgments; a topic that the run lacks counts zero.
        measures: Names as ``check_measures`` takes them.

    Returns:
        measure -> qid -> value, topics in the order of the qrels.

    Raises:
        ValueError: A measure is unknown.
    """
    check_measures(measures)
    values = {name: dict.fromkeys(qrels, 0.0) for name in measures}
    parsed = [_parse(name) for name in values]
    for measure in parsed:
        if measure.base in _JUDGMENT:
            values[measure.name].update(_measure_judgment(run, qrels, measure))
    ranked = [measure for measure in parsed if measure.base not in _JUDGMENT]
    for level in sorted({measure.level for measure in ranked}):
        group = [measure for measure in ranked if measure.level == level]
        for name, measured in _measure_level(run, qrels, group, level).items():
            values[name].update(measured)
    return values


def means(run: Run, qrels: Qrels, measures: Sequence[str]) -> dict[str, float]:
    """Average each measure over all topics of the qrels, those the run lacks included.

    Args:
        run: Hits in any order.
        qrels: Judgments; a topic that the run lacks counts zero.
        measures: Names as ``check_measures`` takes them.

    Returns:
        measure -> mean.

    Raises:
        ValueError: A measure is unknown, or the qrels have no topics.
    """
    if not qrels:
        raise ValueError("qrels have no topics: there is nothing to average over")
    return {
        name: math.fsum(values.values()) / len(values)
        for name, values in per_topic(run, qrels, measures).items()
    }


def compile_measures() -> None:
    """Have numba compile and cache the default measures; takes tens of seconds the first time."""
    per_topic({"q": [Hit("d", 1.0)]}, {"q": {"d": 1}}, DEFAULT_MEASURES)


def is_compiled() -> bool:
    """Say whether numba's cache holds the default measures, without importing numba.

    Looks for numba's index files of ranx, made by the numba and Python that are installed; a cache
    made on another CPU is compiled anew although this says True.
    """
    return all(any(map(_is_current, _find_cache(kernel))) for kernel in _KERNELS)


_KERNELS = (
    "ndcg._ndcg_parallel",
    "recall._recall_parallel",
    "reciprocal_rank._reciprocal_rank_parallel",
)


def _parse(name: str) -> _Measure:
    match = _NAME.fullmatch(name)
    base, cutoff, level = match.groups() if match else ("", None, None)
    if base not in _GRADED + _BINARY + _JUDGMENT + _WITHOUT_CUTOFF:
        raise ValueError(f"measure {name!r} is unknown; there are {_KNOWN}")
    if base in _WITHOUT_CUTOFF and cutoff:
        raise ValueError(f"measure {name!r} takes no cutoff; write {base!r}")
    if base in _GRADED and level:
        raise ValueError(
            f"measure {name!r} takes no relevance level, its gain is the grade; leave out -l{level}"
        )
    if base in _JUDGMENT and level:
        raise ValueError(
            f"measure {name!r} takes no relevance level, every grade is a judgment; "
            f"leave out -l{level}"
        )
    return _Measure(name, base, int(cutoff) if cutoff else None, int(level or 1))


def _measure_judgment(run: Run, qrels: Qrels, measure: _Measure) -> Iterator[tuple[str, float]]:
    """Yield the share of judged or unjudged hits of each topic that has hits."""
    for qid, judged in qrels.items():
        top = order(run.get(qid, ()))[: measure.cutoff]
        if top:
            num_judged = sum(judged.get(hit.docid, -1) >= 0 for hit in top)
            found = num_judged if measure.base == "judged" else len(top) - num_judged
            yield qid, found / len(top)


def _measure_level(
    run: Run, qrels: Qrels, group: Sequence[_Measure], level: int
) -> dict[str, dict[str, float]]:
    """Measure the topics that can be above zero: some hits, some document of that level."""
    depth = _deepest(group)
    qids, hits, judgments = [], [], []
    for qid, judged in qrels.items():
        is_judged = any(grade >= level for grade in judged.values())
        docids = ranked_docids(run.get(qid, ()), depth) if is_judged else []
        if docids:
            kept = {docid: grade for docid, grade in judged.items() if grade >= 0}
            numbers = {docid: float(number) for number, docid in enumerate(kept)}
            qids.append(qid)
            judgments.append(_prepare_judgments(list(kept.values()), level))
            hits.append(_prepare_hits(docids, numbers))
    if not qids:
        return {}
    values = _evaluate(hits, judgments, [measure.name for measure in group])
    return {name: dict(zip(qids, of.tolist(), strict=True)) for name, of in values.items()}


def _deepest(group: Sequence[_Measure]) -> int | None:
    cutoffs = [measure.cutoff for measure in group if measure.cutoff is not None]
    return max(cutoffs) if len(cutoffs) == len(group) else None


def _prepare_judgments(grades: list[int], level: int) -> NDArray[np.float64]:
    """Give the documents' numbers and grades, shape (j, 2), the highest grades first."""
    if all(grade >= level for grade in grades):
        grades = [*grades, 0]  # a number no hit has: bpref divides by those not relevant
    table = np.column_stack([np.arange(len(grades), dtype=np.float64), grades])
    return table[np.argsort(-table[:, 1], kind="stable")]


def _prepare_hits(docids: Sequence[str], numbers: Mapping[str, float]) -> NDArray[np.float64]:
    """Give the ranked documents' numbers and strictly decreasing scores, shape (h, 2)."""
    found = np.array(list(map(numbers.get, docids, repeat(_UNJUDGED))))
    return np.column_stack([found, -np.arange(len(found), dtype=np.float64)])


def _evaluate(
    hits: list[NDArray[np.float64]], judgments: list[NDArray[np.float64]], names: list[str]
) -> dict[str, NDArray[np.float64]]:
    """Have ranx measure topics given as lists of arrays, which is how its kernels take them."""
    with interrupting_after():  # numba loads what it compiled, or compiles
        ranx = _import_ranx()
        from numba.typed import List

        # ranx 0.3.21 loses the cutoff of a measure that is alone.
        asked = names if len(names) > 1 else 2 * names
        with _quiet_numba():
            values: dict[str, NDArray[np.float64]] = ranx.evaluate(
                List(judgments), List(hits), asked, return_mean=False
            )
    return values


@cache
def _import_ranx() -> ModuleType:
    if not is_compiled():
        logger.info("compiling ranx (once per environment)")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # ranx's report.py has "\c" in strings
        return import_module("ranx")


@contextmanager
def _quiet_numba() -> Iterator[None]:
    """Silence numba's casts while it compiles ranx, and keep its number of threads.

    ``ranx.evaluate`` sets one thread for the whole process where there are under ten topics.
    """
    import numba

    threads = numba.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numba.core.errors.NumbaWarning)
        try:
            yield
        finally:
            numba.set_num_threads(threads)


def _find_cache(kernel: str) -> Iterator[Path]:
    """Yield numba's index files for a function of ranx: named, beside the source, or the user's."""
    pattern = f"{kernel}-*.py{sys.version_info.major}{sys.version_info.minor}*.nbi"
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        yield from Path(named).glob(f"*/{pattern}")
        return
    spec = find_spec("ranx")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        yield from Path(folder).glob(f"*/__pycache__/{pattern}")
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield from (caches / "numba").glob(f"*/{pattern}")


def _is_current(index: Path) -> bool:
    """Say whether the numba that is installed wrote an index; it writes its version first."""
    with index.open("rb") as file:
        return version("numba").encode() in file.read(64)
