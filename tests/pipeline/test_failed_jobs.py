"""Jobs that fail: exit code 1, one line with the reason, nothing left behind."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from ance_plugin.encode.__main__ import main as encode
from ance_plugin.fusion.__main__ import main as fusion
from ance_plugin.index.__main__ import main as index
from ance_plugin.search import dense as dense_module
from ance_plugin.search.__main__ import main as search
from evaluation.__main__ import main as evaluate

ON_CPU = ["--device", "cpu", "--precision", "fp32"]


def missing_files(made, output):
    """Give command, words and the name that must be in the message."""
    topics, missing = ["--topics", f"{made}/topics.tsv"], f"{made}/missing"
    output = ["--output", f"{output}/new"]
    flat, run = f"{made}/Flat", f"{made}/dense.trec"
    docs = f"{made}/docs.jsonl"
    return {
        "topics": (search, ["--topics", missing, "--index", flat, *output]),
        "topics that are a folder": (search, ["--topics", flat, "--index", flat, *output]),
        "index": (search, [*topics, "--index", missing, *output]),
        "index that is a file": (search, [*topics, "--index", docs, *output]),
        "index that is vectors": (search, [*topics, "--index", f"{made}/vectors", *output]),
        "sparse index": (search, [*topics, "--sparse-index", missing, *output]),
        "sparse index that is dense": (search, [*topics, "--sparse-index", flat, *output]),
        "sparse index that is a file": (search, [*topics, "--sparse-index", docs, *output]),
        "encoder": (search, [*topics, "--index", flat, "--encoder", missing, *output]),
        "encoder that is none": (search, [*topics, "--index", flat, "--encoder", flat, *output]),
        "encoder that is a file": (search, [*topics, "--index", flat, "--encoder", docs, *output]),
        "params": (
            search,
            [*topics, "--index", flat, "--sparse-index", flat, "--params", missing, *output],
        ),
        "vectors": (index, ["dense", "--vectors", missing, *output]),
        "vectors that are an index": (index, ["dense", "--vectors", flat, *output]),
        "collection": (encode, ["--collection", missing, "--encoder", missing, *output]),
        "collection of a strange kind": (
            encode,
            ["--collection", run, "--encoder", missing, *output],
        ),
        "run": (fusion, ["--runs", run, missing, *output]),
        "run that is a folder": (fusion, ["--runs", run, flat, *output]),
        "run that is none": (fusion, ["--runs", run, docs, *output]),
        "qrels": (evaluate, ["compare", "--qrels", missing, "--runs", run, *output]),
        "qrels that are none": (evaluate, ["compare", "--qrels", docs, "--runs", run, *output]),
        "compared run": (
            evaluate,
            ["compare", "--qrels", f"{made}/qrels.txt", "--runs", missing, *output],
        ),
        "tuning qrels": (
            fusion,
            ["tune", "--runs", run, f"{made}/qrels.txt", "--qrels", missing, *output],
        ),
    }


@pytest.mark.parametrize("case", list(missing_files(Path(), Path())))
def test_file_that_is_missing_or_wrong_is_exit_code_1(made, tmp_path, case, read_problem):
    """One line with the path, no traceback, nothing written."""
    main, words = missing_files(made, tmp_path)[case]

    code = main(words)

    problem = read_problem()
    assert code == 1
    assert str(made) in problem
    assert list(tmp_path.iterdir()) == []


UNWRITABLE = {
    "below a file": "file/new",
    "a folder": "folder",
    "in a folder that takes no files": "/proc/nowhere/run",
}


@pytest.fixture
def never_searches(monkeypatch):
    """Fail where a search is begun."""

    def search_vectors(*_, **__):
        raise AssertionError("the search began before the output was looked at")

    monkeypatch.setattr(dense_module.DenseSearcher, "search_vectors", search_vectors)


@pytest.mark.parametrize("output", UNWRITABLE.values(), ids=list(UNWRITABLE))
def test_output_that_cannot_be_written_fails_before_the_search(
    made, tmp_path, monkeypatch, never_searches, search_dense, read_problem, output
):
    """No run fails after an hour for its output's sake."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("kept")
    Path("folder").mkdir()

    code = search_dense(made, output)

    problem = read_problem()
    assert code == 1
    assert output.partition("/")[0] in problem
    assert Path("file").read_text() == "kept"
    assert sorted(file.name for file in Path().iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("output", UNWRITABLE.values(), ids=list(UNWRITABLE))
@pytest.mark.parametrize("command", ["encode", "index dense", "fusion", "fusion tune", "compare"])
def test_output_that_cannot_be_written_is_exit_code_1(
    made, tiny_checkpoint, tmp_path, monkeypatch, read_problem, command, output
):
    """For every command: one line, no traceback, nothing left behind."""
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("kept")
    Path("folder").mkdir()
    run, qrels = f"{made}/dense.trec", f"{made}/qrels.txt"
    Path("other.trec").write_text((made / "dense.trec").read_text())
    runs = ["--runs", run, "other.trec"]
    main, words = {
        "encode": (
            encode,
            ["--collection", f"{made}/docs.jsonl", "--encoder", str(tiny_checkpoint)],
        ),
        "index dense": (index, ["dense", "--vectors", f"{made}/vectors"]),
        "fusion": (fusion, runs),
        "fusion tune": (fusion, ["tune", *runs, "--qrels", qrels]),
        "compare": (evaluate, ["compare", "--qrels", qrels, *runs]),
    }[command]

    code = main([*words, "--output", output])

    assert (code, bool(read_problem())) == (1, True)
    names = sorted(file.name for file in Path().iterdir())
    assert names == ["file", "folder", "other.trec"]


def test_output_that_exists_needs_overwrite(made, tmp_path, encode_docs, read_problem, capfd):
    """Vectors and indexes are not replaced unless it is asked for."""
    vectors, flat = tmp_path / "vectors", tmp_path / "Flat"

    def index_vectors(*words):
        return index(["dense", "--vectors", f"{made}/vectors", "--output", str(flat), *words])

    commands = {vectors: partial(encode_docs, made, vectors), flat: index_vectors}
    for output, command in commands.items():
        assert command() == 0
        inode = output.stat().st_ino
        capfd.readouterr()

        assert command() == 1
        problem = read_problem()
        assert str(output) in problem
        assert "--overwrite" in problem
        assert output.stat().st_ino == inode
        assert command("--overwrite") == 0
        assert output.stat().st_ino != inode
    assert sorted(file.name for file in tmp_path.iterdir()) == ["Flat", "vectors"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--device", "nonsense"], "nonsense"),
        (["--device", "cuda:77"], "cuda:77"),
        (["--device", "cpu", "--precision", "fp16"], "fp16"),
        (["--max-length", "1000"], "64 positions"),
        (["--max-length", "2"], "at least 3"),
        (["--template", "none"], "template"),
    ],
)
def test_encoding_says_why_it_cannot(made, tiny_checkpoint, tmp_path, words, found, read_problem):
    """A device, precision or length that is not to be had is one line."""
    given = ["--collection", f"{made}/docs.jsonl", "--encoder", str(tiny_checkpoint)]

    code = encode([*given, "--output", f"{tmp_path}/vectors", *words])

    assert code == 1
    assert found in read_problem()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("factory", ["nonsense", "PQ7", "IVF4096,Flat", "", "IDMap,nonsense"])
def test_factory_that_does_not_fit_is_one_line(made, tmp_path, factory, read_problem):
    """FAISS's own words stay within the line; nothing is left behind."""
    words = ["dense", "--vectors", f"{made}/vectors", "--factory", factory]

    code = index([*words, "--output", f"{tmp_path}/new"])

    assert code == 1
    assert "factory" in read_problem()
    assert list(tmp_path.iterdir()) == []


def test_parameter_that_the_index_lacks_is_one_line(made, tmp_path, search_dense, read_problem):
    """--nprobe of a flat index, --ef-search of one without HNSW."""
    assert search_dense(made, tmp_path / "run", "--nprobe", "3") == 1
    assert "nprobe" in read_problem()
    assert search_dense(made, tmp_path / "run", "--ef-search", "3") == 1
    assert "efSearch" in read_problem()


@pytest.mark.parametrize("file", ["index", "docid", "metadata.json"])
def test_damaged_index_is_refused(made, tmp_path, file, read_problem):
    """An index whose file is cut short or gone is said to be so."""
    damaged = tmp_path / "Flat"
    damaged.mkdir()
    for name in ("index", "docid", "metadata.json"):
        content = (made / "Flat" / name).read_bytes()
        (damaged / name).write_bytes(content[: len(content) // 2] if name == file else content)
    words = ["--topics", f"{made}/topics.tsv", "--index", str(damaged), *ON_CPU]

    assert search([*words, "--output", f"{tmp_path}/run"]) == 1
    assert f"{damaged}/{file}" in read_problem()


def test_flipped_bit_is_found_by_verify(made, tmp_path, read_problem, search_dense):
    """In any artifact that a command reads, by file; without --verify sizes alone are compared."""
    shutil.copytree(made / "Flat", tmp_path / "made" / "Flat")
    shutil.copy(made / "topics.tsv", tmp_path / "made")
    content = bytearray((tmp_path / "made" / "Flat" / "index").read_bytes())
    content[-3] ^= 1
    (tmp_path / "made" / "Flat" / "index").write_bytes(content)

    assert search_dense(tmp_path / "made", tmp_path / "run", "--verify") == 1
    assert "Flat/index: content has changed; make the dense-index again" in read_problem()
    assert search_dense(tmp_path / "made", tmp_path / "run") == 0


@pytest.mark.java
@pytest.mark.parametrize("name", ["segments_1", "_0.si", "_0.fdt", "_0.fnm"])
def test_damaged_bm25_index_is_refused(made_both, tmp_path, read_problem, search_sparse, name):
    """A Lucene index with a file cut short is one line, not a trace through Java."""
    damaged = tmp_path / "made" / "bm25"
    shutil.copytree(made_both / "bm25", damaged)
    shutil.copy(made_both / "topics.tsv", tmp_path / "made")
    (damaged / name).write_bytes((damaged / name).read_bytes()[:20])

    assert search_sparse(tmp_path / "made", tmp_path / "run") == 1
    assert str(damaged) in read_problem()
