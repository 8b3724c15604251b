"""Open a FAISS file of unknown origin where a crash does no harm, before it is opened here.

FAISS checks what it reads, but not all of it: of the files that a fuzzer made, about one in 1,500
of the compressed and graph indexes ended the process or had a search go on for ever. Flat indexes
are plain numbers whose count FAISS compares with the size of the file, and none did.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from ance_plugin.errors import ArtifactError

_FLAT = {b"IxFI", b"IxF2", b"IxFl"}
_SEARCH_S = 60
# More than any index needs beside its own bytes; a size that is a lie is refused in time.
_SPARE_BYTES = 8 << 30
_TRY = """
import resource, signal, sys
import faiss, numpy
path, spare, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_AS, (spare, spare))
try:
    index = faiss.read_index(path, faiss.IO_FLAG_MMAP_IFC)
    signal.alarm(seconds)
    queries = numpy.random.default_rng(0).standard_normal((4, index.d), dtype=numpy.float32)
    index.search(queries, max(min(100, index.ntotal), 1))
except (RuntimeError, MemoryError, ValueError, AssertionError) as err:
    sys.stderr.write(str(err).strip().splitlines()[-1] if str(err).strip() else type(err).__name__)
    sys.exit(3)
"""


def check_faiss_file(path: Path) -> None:
    """Read and search an index in a process of its own, unless it is flat.

    Raises:
        ArtifactError: That process did not survive it, or FAISS refused the file.
    """
    with path.open("rb") as file:
        kind = file.read(4)
    if kind in _FLAT:
        return
    spare = 3 * path.stat().st_size + _SPARE_BYTES
    command = [sys.executable, "-c", _TRY, str(path), str(spare), str(_SEARCH_S)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode == 0:
        return
    problem = f"FAISS cannot read it ({done.stderr.strip() or 'it gave no reason'})"
    if done.returncode < 0:
        ended = signal.Signals(-done.returncode).name
        problem = f"reading and searching it ended a process with {ended}"
    raise ArtifactError(
        f"{path}: {problem}; it is damaged or was made to do harm; index the vectors again"
    )
