"""The command: run files in, a run file and its manifest out."""

import hashlib
import json
import logging
import subprocess
import sys
import time

import pytest

from ance_plugin.formats.runs import read_run
from ance_plugin.fusion import tune as tune_module
from ance_plugin.fusion.__main__ import main

BM25 = "q1 Q0 a 1 12.5 bm25\nq1 Q0 b 2 10.0 bm25\nq2 Q0 c 1 8.0 bm25\n"
DENSE = "q1 Q0 b 1 0.9 ance\nq1 Q0 c 2 0.5 ance\n"


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two runs and qrels in the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bm25.trec").write_text(BM25)
    (tmp_path / "dense.trec").write_text(DENSE)
    (tmp_path / "qrels.txt").write_text("q1 0 b 1\nq9 0 b 1\n")
    return tmp_path


@pytest.fixture(autouse=True)
def _measure_without_ranx(monkeypatch):
    """Share of topics whose first hit is relevant, for ranx takes half a minute to compile."""

    def means(run, qrels, measures):
        firsts = [judged.get(run[qid][0].docid, 0) for qid, judged in qrels.items()]
        return dict.fromkeys(measures, sum(firsts) / len(firsts))

    monkeypatch.setattr(tune_module.measures, "means", means)


@pytest.fixture(autouse=True)
def _restore_logging():
    """The command configures the project's loggers; later tests read them through caplog."""
    yield
    for name in ("ance_plugin", "evaluation"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True


def fuse(*words, output="mix.trec"):
    return main(["--runs", "bm25.trec", "dense.trec", "--output", output, *words])


def tune(*words):
    runs = ["--runs", "bm25.trec", "dense.trec", "--qrels", "qrels.txt"]
    return main(["tune", *runs, "--output", "best.json", *words])


def test_interpolation_writes_run_and_manifest(files):
    """Alpha * sparse + dense, with 0.5 for a, which the dense run lacks."""
    words = ["--method", "interpolation", "--alpha", "0.3", "--depth", "50", "--hits", "2"]

    assert fuse(*words) == 0

    hits = read_run(files / "mix.trec")
    assert [tuple(hit) for hit in hits["q1"]] == [
        ("a", pytest.approx(0.3 * 12.5 + 0.5)),
        ("b", pytest.approx(0.3 * 10 + 0.9)),
    ]
    assert (files / "mix.trec").read_text().splitlines()[0].split()[-1] == "interpolation"
    manifest = json.loads((files / "mix.trec.json").read_text())
    assert manifest["kind"] == "fusion"
    assert manifest["command"][:3] == ["python", "-m", "ance_plugin.fusion"]
    assert manifest["command"][-len(words) :] == words
    assert manifest["fusion"] == {
        "method": "interpolation",
        "depth": 50,
        "alpha": 0.3,
        "normalization": False,
        "weight_on_dense": False,
    }
    assert manifest["runs"] == [
        {
            "path": "bm25.trec",
            "tag": "bm25",
            "kind": None,
            "sha256": hashlib.sha256(BM25.encode()).hexdigest(),
        },
        {
            "path": "dense.trec",
            "tag": "ance",
            "kind": None,
            "sha256": hashlib.sha256(DENSE.encode()).hexdigest(),
        },
    ]
    assert (manifest["hits"], manifest["num_topics"]) == (2, 2)
    assert manifest["tag"] == "interpolation"
    assert manifest["allow_leak"] is False
    assert "ance-plugin" in manifest["version"]
    assert manifest["seconds"] >= 0


@pytest.mark.parametrize("start", [fuse, tune])
@pytest.mark.parametrize(
    ("content", "found"), [("z1 Q0 a 1 1.0 x\n", "topics such as 'z1'"), ("", "no topics")]
)
def test_runs_of_other_topics_are_refused(files, capsys, start, content, found):
    """Nothing would be fused."""
    (files / "dense.trec").write_text(content)

    assert start("--method", "rrf") == 1

    message = capsys.readouterr().err
    assert "bm25.trec: shares no topic with the other runs" in message
    assert f"(bm25.trec has topics such as 'q1', dense.trec has {found})" in message
    assert not (files / "mix.trec").exists()


def test_rrf_is_the_default_and_takes_pyserinis_spellings(files):
    """--rrf.k and --k are --rrf-k and --hits; tag and output format are as asked."""
    assert fuse("--rrf.k", "1", "--k", "1", "--tag", "mine") == 0
    assert (files / "mix.trec").read_text().splitlines() == [
        "q1 Q0 b 1 0.833333313 mine",  # 1/3 + 1/2 as a float32
        "q2 Q0 c 1 0.5 mine",
    ]

    assert fuse("--output-format", "msmarco", output="mix.tsv") == 0
    assert (files / "mix.tsv").read_text().splitlines()[0] == "q1\tb\t1"


def test_ranx_method_takes_norm_weights_and_param(files):
    """Weights, numbers and the norm arrive in the settings."""
    assert fuse("--method", "wsum", "--norm", "max", "--weights", "0.3", "0.7") == 0
    manifest = json.loads((files / "mix.trec.json").read_text())
    assert manifest["fusion"]["weights"] == [0.3, 0.7]
    assert manifest["fusion"]["norm"] == "max"

    assert fuse("--method", "rbc", "--param", "phi=0.8") == 0
    manifest = json.loads((files / "mix.trec.json").read_text())
    assert manifest["fusion"] == {"method": "rbc", "depth": 1000, "phi": 0.8}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--method", "best"], "invalid choice: 'best'"),
        (["--norm", "l2"], "invalid choice: 'l2'"),
        (["--method", "wsum"], "wsum needs weights: give --weights, one for each run"),
        (["--method", "rbc"], "rbc needs phi: give --param phi=VALUE"),
        (["--method", "posfuse"], "posfuse must be trained on judged topics: run"),
        (["--alpha", "0.1"], "--alpha is for --method interpolation, but the method is rrf"),
        (["--method", "isr", "--norm", "max"], "isr takes no norm"),
        (["--hits", "0"], "--hits must be at least 1, found 0"),
        (["--param", "phi"], "expected NAME=VALUE with a number, found 'phi'"),
        (["--params", "best.json", "--rrf-k", "9"], "leave out --rrf-k"),
        (["--params", "best.json", "--depth", "9", "--norm", "max"], "leave out --norm --depth"),
    ],
)
def test_wrong_usage_exits_with_two(files, capsys, words, message):
    """The message names the flag, and nothing is written."""
    assert fuse(*words) == 2

    assert message in capsys.readouterr().err
    assert not (files / "mix.trec").exists()


@pytest.mark.parametrize("word", [[], ["tune", "--qrels", "qrels.txt"]])
def test_a_single_run_is_wrong_usage(files, capsys, word):
    """There must be two to fuse."""
    assert main([*word, "--runs", "bm25.trec", "--output", "mix.trec"]) == 2

    assert "at least two runs, found 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--runs", "bm25.trec", "gone.trec"], "gone.trec: no such run file"),
        (["--runs", "bm25.trec", "./bm25.trec"], "bm25.trec: is given twice"),
        (["--output", "dense.trec"], "dense.trec: is one of --runs"),
        (["--tag", "two words"], "tag 'two words' must be one word"),
        (["--method", "wsum", "--weights", "1", "2", "3"], "weights for 3 runs, but there are 2"),
        (["--params", "gone.json"], "gone.json"),
        (["--params", "other.json"], "its kind is None, expected 'fusion-params'"),
        (["--params", "new.json"], "format version 99"),
        (["--params", "damaged.json"], "damaged.json: is damaged"),
    ],
)
def test_failed_job_exits_with_one(files, capsys, words, message):
    """The message names the file, and nothing is written."""
    (files / "other.json").write_text("{}")
    (files / "new.json").write_text('{"kind": "fusion-params", "format_version": 99}')
    (files / "damaged.json").write_text('{"kind": "fusion-params", "params": {"method": "rrf"}}')

    assert fuse(*words) == 1

    assert message in capsys.readouterr().err
    assert not (files / "mix.trec").exists()
    assert (files / "dense.trec").read_text() == DENSE


def test_exchanged_sides_are_refused(files, capsys):
    """Manifests that say dense, then bm25 stop an interpolation; RRF has no sides."""
    (files / "bm25.trec.json").write_text('{"kind": "dense"}')
    (files / "dense.trec.json").write_text('{"kind": "bm25"}')

    assert fuse("--method", "interpolation") == 1
    assert "bm25.trec is dense and dense.trec is bm25; swap them in --runs" in (
        capsys.readouterr().err
    )
    assert fuse() == 0


def test_tune_writes_what_it_found(files, capsys):
    """The file has the best settings, the whole grid, the runs, and the topics."""
    assert tune("--method", "interpolation", "--measure", "precision@1") == 0

    best = json.loads((files / "best.json").read_text())
    assert best["params"]["alpha"] == 0.0001
    assert best["measure"] == "precision@1"
    assert best["value"] == 1.0
    assert best["qids"] == ["q1"]
    assert best["qrels"] == "qrels.txt"
    assert len(best["grid"]) >= 38
    assert best["grid"][0] == {
        "settings": {"alpha": 0.0001, "normalization": False, "weight_on_dense": False},
        "value": 1.0,
    }
    assert [(run["path"], run["tag"], run["value"]) for run in best["runs"]] == [
        ("bm25.trec", "bm25", 0.0),
        ("dense.trec", "ance", 1.0),
    ]
    printed = capsys.readouterr()
    assert "fusion does not win: dense.trec alone has 1.0000" in printed.out
    assert "1 judged topics are in no run and do not count" in printed.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--measure", "beauty"], "'beauty' is unknown"),
        (["--method", "sum"], "sum has no setting to tune"),
        (["--qrels", "gone.txt"], "gone.txt"),
        (["--method", "rbc", "--norm", "max"], "rbc takes no norm"),
        (["--method", "interpolation", "--norm", "max"], "interpolation takes no norm"),
    ],
)
def test_tuning_mistakes_are_named(files, capsys, words, message):
    """Nothing is written."""
    assert tune(*words) == 1

    assert message in capsys.readouterr().err
    assert not (files / "best.json").exists()


def test_settings_are_refused_on_topics_they_were_tuned_on(files, capsys):
    """One of two topics leaks; the message says what to do, and nothing is written."""
    assert tune("--method", "wsum") == 0

    assert fuse("--params", "best.json") == 1

    message = capsys.readouterr().err
    assert "1 topics of the runs are among the 1 tuned on (qrels.txt)" in message
    assert "tune on other topics, or give --allow-leak" in message
    assert not (files / "mix.trec").exists()


def test_allowed_leak_is_noted(files, capsys):
    """The run is written with a warning, and its manifest says so."""
    tune("--method", "wsum")

    assert fuse("--params", "best.json", "--allow-leak") == 0

    assert "their results are too good" in capsys.readouterr().err
    manifest = json.loads((files / "mix.trec.json").read_text())
    assert manifest["allow_leak"] is True
    assert manifest["fusion"]["tuned_on"] == {
        "qrels": "qrels.txt",
        "qids": ["q1"],
        "measure": "ndcg@10",
        "value": 1.0,
    }


@pytest.mark.parametrize("method", ["wsum", "posfuse", "rrf"])
def test_tuned_settings_fuse_other_topics(files, method):
    """Trained methods can be used this way only."""
    tune("--method", method)
    (files / "bm25.trec").write_text(BM25.replace("q1", "q7"))
    (files / "dense.trec").write_text(DENSE.replace("q1", "q7"))

    assert fuse("--params", "best.json") == 0

    assert set(read_run(files / "mix.trec")) == {"q7", "q2"}
    assert json.loads((files / "mix.trec.json").read_text())["fusion"]["method"] == method


def test_tuned_settings_want_the_runs_in_their_order(files, capsys):
    """Tags that are exchanged are an error where the sides differ."""
    tune("--method", "wsum")
    words = ["--runs", "dense.trec", "bm25.trec", "--params", "best.json", "--allow-leak"]

    assert fuse(*words) == 1
    assert "tuned on runs in the order bm25 ance, found ance bm25" in capsys.readouterr().err

    tune("--method", "rrf")
    assert fuse(*words) == 0


def test_help_is_quick_and_light():
    """Neither numpy nor ranx is imported for it."""
    code = (
        "import sys\nfrom ance_plugin.fusion.__main__ import main\n"
        "code = main(sys.argv[1:])\n"
        "sys.exit(code or any(name in sys.modules for name in ('numpy', 'ranx', 'pandas')))"
    )

    for words in (["--help"], ["tune", "--help"]):
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, check=False
        )
        seconds = time.monotonic() - start

        assert done.returncode == 0, done.stderr
        assert seconds < 2  # half a second on an idle machine
