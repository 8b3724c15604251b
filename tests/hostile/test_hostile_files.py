"""Files made to do harm: nothing is run, nothing written elsewhere, nothing shown unescaped."""

import gzip
import io
import json
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pytest

from ance_plugin import artifacts
from ance_plugin.artifacts import METADATA, read_json, seal
from ance_plugin.cli.run import run
from ance_plugin.encode.queries import read_encoded_queries
from ance_plugin.encode.sources import find_checkpoint
from ance_plugin.encode.weights import read_config, read_weights
from ance_plugin.errors import AnceError, ArtifactError, FormatError, printable
from ance_plugin.formats.topics import read_topics
from ance_plugin.formats.vectors import Vectors
from ance_plugin.fusion.__main__ import main as fusion
from ance_plugin.index.safety import check_faiss_file
from ance_plugin.index.stored import open_index


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.fixture
def proof(tmp_path):
    """A path that is there once hostile code has run."""
    path = tmp_path / "it ran"
    yield path
    assert not path.exists()


def test_pickled_checkpoint_is_not_run(tmp_path, proof):
    """Neither as weights nor beside them."""
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(proof), protocol=2))

    with pytest.raises(FormatError, match=r"could run code; ask for model\.safetensors"):
        read_weights(tmp_path)


def test_pickled_queries_are_not_run(tmp_path, proof):
    """The same for what claims to be Pyserini's encoded queries."""
    (tmp_path / "embedding.pkl").write_bytes(pickle.dumps(Payload(proof)))

    with pytest.raises(FormatError, match="nothing of it was run"):
        read_encoded_queries(tmp_path)


def test_pickled_vectors_are_not_run(tmp_path, proof):
    """An array of objects is a pickle inside of ``.npy``."""
    folder = tmp_path / "vectors"
    folder.mkdir()
    block = io.BytesIO()
    np.save(block, np.array([[Payload(proof)]], dtype=object), allow_pickle=True)
    (folder / "block-000000.npy").write_bytes(block.getvalue())
    (folder / "block-000000.docids").write_text("d\n")
    seal(folder, "vectors", {"num_documents": 1, "dimension": 1, "num_blocks": 1})

    with pytest.raises(ArtifactError, match=r"block-000000\.npy: is damaged"):
        list(Vectors(folder).iter_blocks())


def test_code_of_a_checkpoint_is_not_run(tmp_path, proof):
    """``auto_map`` names a class in the folder; there is no flag that loads it."""
    (tmp_path / "evil.py").write_text(f"open({str(proof)!r}, 'w')")
    auto_map = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto_map}))

    with pytest.raises(FormatError, match="transformers cannot make this model"):
        read_config(tmp_path)


def test_training_folder_does_not_lead_elsewhere(tmp_path):
    """``best.json`` may name a checkpoint of its own folder alone."""
    (tmp_path / "run").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "run" / "best.json").write_text('{"checkpoint": "../other"}')

    with pytest.raises(ArtifactError, match="names a folder outside of its own"):
        find_checkpoint(str(tmp_path / "run"))


BOMBS = {
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "a giant integer": '{"kind": ' + "9" * 10_000 + "}",
    "no object": "[]",
    "half a surrogate pair": '{"kind": "\\ud83d"}',
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=list(BOMBS))
def test_json_bomb_is_an_error_of_its_file(tmp_path, text):
    """In metadata as in lines: no crash, no endless work."""
    (tmp_path / METADATA).write_text(text)
    (tmp_path / "topics.jsonl").write_text(text)

    with pytest.raises(AnceError, match=re.escape(str(tmp_path))):
        artifacts.open_sealed(tmp_path, "thing")
    with pytest.raises(FormatError, match=r"topics\.jsonl"):
        read_topics(str(tmp_path / "topics.jsonl"))


def test_gzip_bomb_of_one_line_is_refused(tmp_path, monkeypatch):
    """Its few bytes are not unpacked to the end."""
    monkeypatch.setattr("ance_plugin.formats.lines.MAX_LINE_BYTES", 1 << 20)
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(b"0" * (8 << 20)))

    with pytest.raises(FormatError, match="is longer than 1 MiB"):
        read_topics(str(tmp_path / "t.tsv.gz"))


def write_faiss(folder, factory):
    """Write a small stock index folder; give the path of its FAISS file."""
    rows = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)
    index = faiss.index_factory(16, factory, faiss.METRIC_INNER_PRODUCT)
    index.train(rows)
    index.add(rows)
    faiss.write_index(index, str(folder / "index"))
    (folder / "docid").write_text("".join(f"d{number}\n" for number in range(300)))
    return folder / "index"


def test_faiss_file_that_crashes_its_reader_is_refused(tmp_path, monkeypatch):
    """It ends another process and not this one; which signal it was is said."""
    file = write_faiss(tmp_path, "HNSW8")
    monkeypatch.setattr(
        "ance_plugin.index.safety._TRY", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    )

    with pytest.raises(ArtifactError, match="ended a process with SIGSEGV; it is damaged or was"):
        open_index(file.parent)


def test_links_of_a_graph_that_lead_outside_are_refused(tmp_path):
    """Every neighbour of every vector is a row that is not there."""
    file = write_faiss(tmp_path, "HNSW8")
    index = faiss.read_index(str(file))
    neighbours = faiss.vector_to_array(index.hnsw.neighbors)
    neighbours[:] = 2_000_000_000
    faiss.copy_array_to_vector(neighbours, index.hnsw.neighbors)
    faiss.write_index(index, str(file))

    with pytest.raises(ArtifactError, match=r"index: .* damaged or was made to do harm"):
        open_index(tmp_path)


@pytest.mark.parametrize("factory", ["HNSW8", "IVF4,Flat"])
def test_honest_foreign_index_is_opened(tmp_path, factory):
    """Stock Pyserini's folders have no metadata either."""
    file = write_faiss(tmp_path, factory)

    check_faiss_file(file)
    assert open_index(tmp_path).faiss_index.ntotal == 300


ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202etxt\x9b31m"


def test_terminal_escapes_are_shown_as_text(tmp_path, capfd):
    """In errors, usage and reports, whoever put them into a file or its name."""
    folder = tmp_path / f"evil{ESCAPES}"
    folder.mkdir()
    line = f"q Q0 d 1 1.0 t{ESCAPES}\n"
    for name in ("a", "b"):
        (folder / name).write_text(line.replace("d", name), encoding="utf-8")
    runs = ["--runs", str(folder / "a"), str(folder / "b")]

    assert fusion([*runs, "--output", f"{folder}/missing/\0"]) == 1
    fusion(["tune", *runs, "--qrels", f"{folder}/none", "--output", f"{tmp_path}/best.json"])

    said = "".join(capfd.readouterr())
    assert "evil" in said
    assert not set("\x1b\x07\u202e\x9b") & set(said)


def test_printable_keeps_texts_of_all_scripts():
    """Only what acts on a terminal is shown as an escape."""
    assert printable("Zoë 日本 שלום 😀\ttab\nline") == "Zoë 日本 שלום 😀\ttab\nline"
    assert printable("\x1b[31m\r\u202e") == "\\x1b[31m\\r\\u202e"


def test_metadata_that_lists_files_elsewhere_opens_nothing(tmp_path):
    """A name with ``..`` or from the root is refused, whatever lies there."""
    folder = tmp_path / "thing"
    folder.mkdir()
    (tmp_path / "secret").write_text("x")
    seal(folder, "thing", {})
    content = read_json(folder / METADATA)
    for name in ("../secret", str(tmp_path / "secret")):
        content["files"] = {name: {"size_bytes": 1, "sha256": "0"}}
        (folder / METADATA).write_text(json.dumps(content))

        with pytest.raises(ArtifactError, match="lists a file outside of its folder"):
            artifacts.open_sealed(folder, "thing")


def test_interrupt_that_a_library_swallows_is_still_one(capsys):
    """PyTorch may turn it into an error about the file it was reading."""
    import signal

    from ance_plugin.cli.flags import new_parser

    def start(_):
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as err:
            raise FormatError("weights cannot be read") from err

    assert run(new_parser("test", "x"), start, []) == 130
    assert capsys.readouterr().err == "python -m test: interrupted\n"


def test_importing_from_the_working_directory_is_not_a_way_in(tmp_path):
    """A module of a library's name in a folder of data is not what the console script imports."""
    (tmp_path / "faiss.py").write_text("raise SystemExit('it ran')")
    script = shutil.which("ance", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("the console script is not installed")

    done = subprocess.run([script, "--version"], cwd=tmp_path, capture_output=True, text=True)

    assert (done.returncode, done.stdout.split()[0]) == (0, "ance-plugin")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"files": {"x" * 400: {"size_bytes": 1}}}, "is missing"),
        ({"files": {"a": {"size_bytes": 1e999}}}, "does not list its files"),
        ({"format_version": {}}, "does not list its files"),
    ],
)
def test_metadata_that_a_fuzzer_made_is_an_error(tmp_path, change, problem):
    """Found by tests/fuzz.py: a name longer than any, infinite sizes, a version that is none."""
    content = {"kind": "thing", "format_version": 1, "files": {}, **change}
    (tmp_path / METADATA).write_text(json.dumps(content))

    with pytest.raises(ArtifactError, match=problem):
        artifacts.open_sealed(tmp_path, "thing")


@pytest.mark.parametrize("place", [8, 10])
def test_archive_of_an_unknown_kind_is_an_error(tmp_path, place):
    """Found by tests/fuzz.py: zip files with a method or version that Python does not know."""
    content = io.BytesIO()
    np.savez(content, ids=np.array(["1"]), texts=np.array(["a"]), vectors=np.ones((1, 2)))
    data = bytearray(content.getvalue())
    start = data.index(b"PK\x01\x02")
    data[start + place] = 99
    (tmp_path / "queries.npz").write_bytes(data)

    with pytest.raises(FormatError, match=r"queries\.npz: holds no encoded queries"):
        read_encoded_queries(tmp_path)
