"""Imports point down, starting stays light, and files stay readable; read from the sources."""

import ast
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
ROOT = REPOSITORY / "ance_plugin"
LAYERS = [  # lowest first: a module imports only from its own layer or a lower one
    ("records", "errors", "version", "progress", "interrupts", "ahead"),
    ("ranking", "packed_hits", "disk", "artifacts", "jvm"),
    ("formats", "measures"),
    ("fusion",),
    ("encode",),
    ("index",),
    ("search",),
    ("rerank",),
    ("train",),
    ("cli", "doctor"),
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
HEAVY = {
    *("torch", "transformers", "sentence_transformers", "safetensors", "tokenizers", "tqdm"),
    *("pyserini", "jnius", "jnius_config", "faiss", "ranx", "numba", "pandas", "scipy"),
    *("ir_datasets", "huggingface_hub", "matplotlib", "pyarrow"),
}
# A model is a subclass of torch's; whoever imports these files is about to use one.
LOADS_TORCH = {
    *("ance_plugin/encode/model.py", "ance_plugin/encode/weights.py"),
    *("ance_plugin/encode/checkpoint.py", "ance_plugin/encode/encoder.py"),
    *("ance_plugin/encode/packed.py", "ance_plugin/encode/packed_linear.py"),
    *("ance_plugin/encode/packed_attention.py", "ance_plugin/encode/packed_norm.py"),
    *("ance_plugin/encode/fused_norm.py", "ance_plugin/encode/layouts/folder.py"),
    *("ance_plugin/encode/export.py", "ance_plugin/encode/cores.py"),
    *("ance_plugin/rerank/classifier.py", "ance_plugin/rerank/cross_encoder.py"),
    "ance_plugin/rerank/packed_classifier.py",
    *("ance_plugin/train/losses.py", "ance_plugin/train/step.py", "ance_plugin/train/ranks.py"),
    *("ance_plugin/train/optimizers.py", "ance_plugin/train/group_step.py"),
}
MAX_LINES = 300
MAX_TEST_LINES = 350
NAMELESS = {"utils", "util", "common", "helpers", "misc", "base", "core"}


def sources(*folders):
    files = (file for folder in folders for file in sorted((REPOSITORY / folder).rglob("*.py")))
    return [file.relative_to(REPOSITORY) for file in files]


PACKAGES = sources("ance_plugin", "evaluation")
MODULES = [  # of the layers; above them are what starts a stage, and the package's list of names
    path
    for path in sources("ance_plugin")
    if path.name != "__main__.py" and path != Path("ance_plugin/__init__.py")
]


def parse(path):
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))


def imports(nodes):
    """Yield (module, names) for each import; ``import x`` has no names."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: relative import"
            yield node.module, tuple(alias.name for alias in node.names)


def imported_parts(path):
    """Name the parts of ance_plugin that a file imports, wherever in it."""
    parts = set()
    for module, names in imports(ast.walk(parse(path))):
        package, _, rest = module.partition(".")
        if package == "ance_plugin":
            parts |= {rest.partition(".")[0]} if rest else set(names)
    return parts


def imported_at_once(tree):
    """Yield the nodes that run on import: no bodies of functions, nothing for type checking."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        is_type_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_type_checking:
            continue
        yield node
        waiting.extend(ast.iter_child_nodes(node))


def test_layers_are_what_there_is():
    """Every module and package has a layer, and so every rule below sees it."""
    names = {path.relative_to("ance_plugin").parts[0].removesuffix(".py") for path in MODULES}

    assert names <= LEVEL.keys()
    assert len(MODULES) > 30


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_point_down(path):
    """No stage knows a later one."""
    own = path.relative_to("ance_plugin").parts[0].removesuffix(".py")
    imported = imported_parts(path)

    assert imported <= LEVEL.keys(), "what is imported from ance_plugin itself must be a module"
    assert {name for name in imported if LEVEL[name] > LEVEL[own]} == set()


@pytest.mark.parametrize("path", PACKAGES, ids=str)
def test_flags_are_for_commands(path):
    """Only what parses a command line knows ance_plugin.cli."""
    is_command = path.name in {"__main__.py", "doctor.py"} or "cli" in path.parts

    assert is_command or "cli" not in imported_parts(path)


@pytest.mark.parametrize("path", sources("ance_plugin"), ids=str)
def test_evaluation_is_above_the_package(path):
    """The package does not import evaluation; its console script knows it by name only."""
    packages = {module.partition(".")[0] for module, _ in imports(ast.walk(parse(path)))}

    assert "evaluation" not in packages


@pytest.mark.parametrize("path", PACKAGES, ids=str)
def test_heavy_packages_are_imported_where_they_are_used(path):
    """Importing a file loads no model library, JVM or compiler; the model's files load torch."""
    packages = {module.partition(".")[0] for module, _ in imports(imported_at_once(parse(path)))}
    allowed = {"torch"} if path.as_posix() in LOADS_TORCH else set()
    if path.as_posix() == "ance_plugin/encode/pyserini.py":
        allowed = {"pyserini"}  # its classes are Pyserini's subclasses

    assert packages & HEAVY <= allowed


@pytest.mark.parametrize("path", PACKAGES, ids=str)
def test_importing_does_nothing_but_define(path):
    """No statement at a file's top level calls for effect, loops, or opens anything."""
    effects = (ast.For, ast.While, ast.With, ast.Try, ast.Delete, ast.Assert, ast.Raise)
    statements = parse(path).body
    expressions = [node.value for node in statements if isinstance(node, ast.Expr)]

    assert [node.lineno for node in statements if isinstance(node, effects)] == []
    assert [node.lineno for node in expressions if not isinstance(node, ast.Constant)] == []


@pytest.mark.parametrize("path", sources("ance_plugin", "evaluation", "tests"), ids=str)
def test_files_are_read_at_one_sitting(path):
    """At most 300 lines (350 of tests), a docstring that says what about, a telling name."""
    lines = (REPOSITORY / path).read_text(encoding="utf-8").splitlines()

    assert len(lines) <= (MAX_TEST_LINES if path.parts[0] == "tests" else MAX_LINES)
    assert ast.get_docstring(parse(path)) or not lines
    assert path.stem not in NAMELESS


@pytest.mark.parametrize("path", PACKAGES, ids=str)
def test_functions_fit_on_a_screen(path):
    """At most 60 lines of body."""
    functions = [
        node
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    assert [node.name for node in functions if node.end_lineno - node.body[0].lineno > 60] == []


@pytest.mark.parametrize("path", [p for p in PACKAGES if p.name == "__main__.py"], ids=str)
def test_commands_parse_and_call(path):
    """A __main__.py has main(argv) and under 80 lines."""
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    functions = [node.name for node in parse(path).body if isinstance(node, ast.FunctionDef)]

    assert len(text.splitlines()) < 80
    assert "main" in functions
    assert "sys.exit(main())" in text


def test_standard_library_is_not_shadowed():
    """No top-level package is named like one that Python has."""
    assert {"ance_plugin", "evaluation"}.isdisjoint(sys.stdlib_module_names)
