"""A process that is killed while it encodes loses nothing, and leaves no trace in what is finished.

Two ways to kill: a process that dies before its n-th change of the file system, for every n; and
the real command, killed from outside at random moments.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from ance_plugin.errors import AnceError
from ance_plugin.formats.vectors import GrowingVectors, Vectors

WORDS = ["ant", "bear", "cat", "dog", "elk", "fox", "goat", "hare", "ibis", "jay", "kite", "lynx"]
NUM_BLOCKS = 3


def write_collection(path, num_documents, *, seed=0):
    rng = random.Random(seed)
    lines = [
        json.dumps({"id": f"d{place}", "contents": " ".join(rng.choices(WORDS, k=12))})
        for place in range(num_documents)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def read_all(folder):
    """Read every file of a folder, hidden ones included."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*")}


# Killed before its n-th change of the file system


def encode_once(folder, *, overwrite=False):
    """Write the blocks that are not there yet, as encode_collection does; give their number.

    No encoder takes part, so that a process is forked and over in a few milliseconds.
    """
    vectors = GrowingVectors(folder / "vectors", {"dimension": 4}, overwrite=overwrite)
    num_written = 0
    with vectors.claim(0, 1):
        for block in range(NUM_BLOCKS):
            if not vectors.has_block(block):
                values = np.full((2, 4), block, dtype=np.float32)
                vectors.write_block(block, [f"{block}-a", f"{block}-b"], values)
                num_written += 1
    assert vectors.finish(NUM_BLOCKS, 2 * NUM_BLOCKS)
    return num_written


def die_before_change(number, folder):
    """Have this process kill itself before it changes the file system for the n-th time."""
    changes = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "fcntl.flock"}
    left = [number]

    def count(event, arguments):
        is_write = event == "open" and set(str(arguments[1])) & set("wax+")
        is_here = event == "fcntl.flock" or str(arguments[0] if arguments else "").startswith(
            folder
        )
        if (is_write or event in changes) and is_here:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def fork_and_encode(folder, *, change=None, overwrite=False):
    """Encode in a child; give its exit status, and what it says of its work."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if change is not None:
                die_before_change(change, str(folder))
            num_written = encode_once(folder, overwrite=overwrite)
            (folder / "report").write_text(str(num_written))
            status = 0
        except (AnceError, OSError) as err:
            (folder / "report").write_text(f"{type(err).__name__}: {err}")
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def kill_at_every_change(folder, *, overwrite):
    """For each change, kill a process before it, then let another one finish; say what came out.

    With ``overwrite`` older vectors stand there first.
    """
    cases = []
    while not cases or cases[-1]["was_killed"]:
        here = folder / f"{overwrite}-{len(cases)}"
        here.mkdir()
        if overwrite:
            fork_and_encode(here)
            (here / "report").unlink()
        status = fork_and_encode(here, change=len(cases), overwrite=overwrite)
        case = {"was_killed": os.WIFSIGNALED(status), "folder": str(here)}
        case["num_done"] = len(list(here.glob(".vectors.partial/*.done")))
        case["is_there"] = (here / "vectors").is_dir()
        case["is_kept"] = case["is_there"] or (here / ".vectors.retired").is_dir()
        if case["was_killed"] and (overwrite or not case["is_there"]):
            fork_and_encode(here, overwrite=overwrite)
            case["left"] = sorted(file.name for file in here.iterdir())
        case["report"] = (here / "report").read_text() if (here / "report").exists() else "0"
        cases.append(case)
    return cases


def run_kills(folder):
    """Kill at every change; called in a process of its own, which has one thread to fork."""
    os.fsync = lambda _: None  # no power is cut here, and a disk may take long over it
    cases = {str(over): kill_at_every_change(folder, overwrite=over) for over in (False, True)}
    (folder / "cases.json").write_text(json.dumps(cases))


@pytest.fixture(scope="module")
def all_cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    command = [sys.executable, __file__, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    cases = json.loads((folder / "cases.json").read_text())
    for over in cases:
        assert len(cases[over]) > 40
        assert not cases[over][-1]["was_killed"]
    return cases


@pytest.fixture(params=[False, True], ids=["new", "overwrite"])
def cases(request, all_cases):
    return all_cases[str(request.param)]


def test_whatever_was_killed_is_finished_by_the_same_command(cases):
    """No moment leaves something behind that the next run stumbles over."""
    reports = dict(enumerate(case["report"] for case in cases))

    assert {place: text for place, text in reports.items() if not text.isdigit()} == {}


def test_finished_vectors_are_the_same_whenever_it_was_killed(cases):
    """Every file is byte for byte that of an undisturbed run, and there is no other file."""
    expected = read_all(Path(cases[-1]["folder"], "vectors"))
    found = {place: read_all(Path(case["folder"], "vectors")) for place, case in enumerate(cases)}

    differing = {place: sorted(files) for place, files in found.items() if files != expected}

    assert differing == {}


def test_finished_vectors_can_be_read_whenever_it_was_killed(cases):
    """Nothing is listed that is not there."""
    for case in cases:
        docids = [
            docid
            for part, _ in Vectors(Path(case["folder"], "vectors")).iter_blocks()
            for docid in part
        ]

        assert docids == ["0-a", "0-b", "1-a", "1-b", "2-a", "2-b"]


def test_finished_blocks_are_not_encoded_again(all_cases):
    """Not even where it was killed while it finished, with all blocks done."""
    num_done = 0
    encoded_again = {}
    for place, case in enumerate(all_cases["False"][:-1]):
        num_done = max(num_done, case["num_done"])
        if int(case["report"]) > NUM_BLOCKS - num_done:
            encoded_again[place] = f"{case['report']} blocks, with {num_done} done before"

    assert encoded_again == {}


def test_nothing_is_left_beside_what_is_finished(cases):
    """Whatever the killed process had, locks and older vectors too, is gone after the next one."""
    left = {place: case["left"] for place, case in enumerate(cases) if "left" in case}

    assert {place: names for place, names in left.items() if names != ["report", "vectors"]} == {}


def test_what_was_finished_is_kept_until_it_is_replaced(all_cases):
    """Killed at any moment of --overwrite, older or newer vectors are there, if need be hidden."""
    missing = [place for place, case in enumerate(all_cases["True"]) if not case["is_kept"]]

    assert missing == []


# The command, killed from outside


def start_encoding(folder, checkpoint):
    command = [sys.executable, "-m", "ance_plugin.encode", "--collection", "docs.jsonl"]
    command += ["--encoder", str(checkpoint), "--output", "vectors", "--block-size", "32"]
    command += ["--device", "cpu", "--precision", "fp32", "--batch-size", "16"]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)


def count_done(folder):
    return len(list(folder.glob(".vectors.partial/*.done")))


def kill_while_encoding(process, folder, *, num_blocks, delay_s):
    """Kill once so many more blocks are done and a delay is over; say how many are done."""
    goal = count_done(folder) + num_blocks
    while count_done(folder) < goal and process.poll() is None:
        time.sleep(0.001)
    time.sleep(delay_s)
    process.kill()
    process.communicate()
    return count_done(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_kills", "num_documents"),
    [(6, 3000), pytest.param(20, 3000, marks=pytest.mark.long)],
)
def test_encoding_killed_at_random_ends_as_if_undisturbed(
    tmp_path, tiny_checkpoint, num_kills, num_documents
):
    """SIGKILLs while blocks are written: the same bytes in every file, metadata included."""
    rng = random.Random(7)
    calm, disturbed = tmp_path / "calm", tmp_path / "disturbed"
    for folder in (calm, disturbed):
        folder.mkdir()
        write_collection(folder / "docs.jsonl", num_documents)
    undisturbed = start_encoding(calm, tiny_checkpoint)
    assert undisturbed.wait(timeout=300) == 0, undisturbed.stderr.read()
    undisturbed.stderr.close()
    expected = read_all(calm / "vectors")

    done = []
    for _ in range(num_kills):
        process = start_encoding(disturbed, tiny_checkpoint)
        num_blocks, delay_s = rng.randrange(5), rng.random() * 0.03
        done.append(kill_while_encoding(process, disturbed, num_blocks=num_blocks, delay_s=delay_s))
        assert process.returncode in (0, -signal.SIGKILL)
    last = start_encoding(disturbed, tiny_checkpoint)
    _, log = last.communicate(timeout=300)

    num_all = -(-num_documents // 32)
    assert last.returncode == 0, log
    assert done == sorted(done), "a finished block was lost"
    assert len({count for count in done if 0 < count < num_all}) > num_kills // 3
    assert read_all(disturbed / "vectors") == expected
    assert set(disturbed.glob(".*partial*")) == set()


if __name__ == "__main__":
    run_kills(Path(sys.argv[1]))
