"""What a system costs beside its queries: memory, encoding, indexing; and on which machine."""

import os
import platform
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ance_plugin.formats.collection import Collection

if TYPE_CHECKING:
    from ance_plugin.encode.encoder import Encoder

_SAMPLED_FROM = 20_000
_STATUS = Path("/proc/self/status")
_CPU_INFO = Path("/proc/cpuinfo")


@dataclass(slots=True)
class Memory:
    """What parts keep in memory, by how much the process grew while each was loaded and used.

    Attributes:
        parts: Name -> bytes resident; None where the system does not tell. What is freed while a
            part loads counts against it, so these are no more exact than some ten MiB.
    """

    parts: dict[str, int | None] = field(default_factory=dict)

    @contextmanager
    def load(self, name: str) -> Iterator[None]:
        """Attribute the process's growth in the block to a part.

        Args:
            name: Of the part.
        """
        before = _resident_bytes()
        yield
        after = _resident_bytes()
        grown = None if before is None or after is None else max(0, after - before)
        self.parts[name] = grown

    def of(self, names: tuple[str, ...]) -> int | None:
        """Sum up parts; None where one is not known."""
        sizes = [self.parts.get(name) for name in names]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None


def peak_bytes() -> int:
    """Give the most memory that this process ever held, everything together."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def time_encoding(
    encoder: "Encoder", collection: Collection, num_documents: int, *, seed: int
) -> dict[str, Any]:
    """Encode a sample of a collection, as ``ance_plugin.encode`` does.

    Args:
        encoder: What to encode with, warm.
        collection: Where documents are drawn from: its first 20,000.
        num_documents: How many are drawn.
        seed: Of the draw.

    Returns:
        Milliseconds a document, of wall and CPU time, and what was encoded.
    """
    first = list(islice(iter(collection), _SAMPLED_FROM))
    size = min(num_documents, len(first))
    places = np.random.default_rng(seed).choice(len(first), size, replace=False)
    documents = [first[place] for place in places]
    limit = encoder.settings.max_document_tokens
    num_tokens = sum(map(len, encoder.tokenize_documents(documents, limit)))
    cpu_started, started = time.process_time(), time.perf_counter()
    encoder.encode_documents(documents)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return {
        "num_documents": size,
        "mean_tokens": num_tokens / size,
        "ms_per_document": 1000 * seconds / size,
        "cpu_ms_per_document": 1000 * cpu_seconds / size,
    }


def read_index_seconds(path: Path) -> dict[str, Any] | None:
    """Read from an index's metadata how long it took to make; None where it does not say.

    Args:
        path: Of an index of ours; one of Pyserini's has no metadata.
    """
    from ance_plugin.artifacts import METADATA, read_json

    if not (path / METADATA).is_file():
        return None
    metadata = read_json(path / METADATA)
    if "seconds" not in metadata:
        return None
    names = ("seconds", "num_documents", "num_vectors", "dimension", "factory")
    return {name: metadata[name] for name in names if name in metadata}


def describe_machine(*, threads: int) -> dict[str, Any]:
    """Say what times depend on beside the software.

    Args:
        threads: That PyTorch, FAISS and Lucene were given.
    """
    return {
        "cpu": _cpu_name(),
        "num_cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "platform": platform.platform(terse=True),
        "threads": threads,
    }


def load_average() -> float:
    """Give how many threads of all processes wanted to compute in the last minute."""
    return round(os.getloadavg()[0], 2)


def _cpu_name() -> str:
    if _CPU_INFO.is_file():
        fields = _read_fields(_CPU_INFO)
        if "model name" in fields:
            return fields["model name"]
    return platform.processor() or platform.machine()


def _resident_bytes() -> int | None:
    if not _STATUS.is_file():
        return None
    return int(_read_fields(_STATUS)["VmRSS"].split()[0]) * 1024


def _read_fields(path: Path) -> Mapping[str, str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}
