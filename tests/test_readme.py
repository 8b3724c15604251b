"""The README's commands and code are run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(sh|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [(match[1], match[2]) for match in FENCE.finditer(README)]


def test_readme_has_commands_for_every_stage():
    """Each stage of the package stands in a command that is run."""
    commands = "".join(text for language, text in BLOCKS if language == "sh")

    for stage in (
        "index bm25",
        "index dense",
        "encode",
        "search",
        "fusion",
        "fusion tune",
        "train warmup",
        "train ance",
        "train plot",
        "train cross-encoder",
        "rerank",
        "doctor",
    ):
        assert f"python -m ance_plugin.{stage} " in f"{commands} ".replace("\n", " ")
    assert "python -m evaluation compare " in commands
    assert "python -m evaluation qa " in commands
    assert "python -m evaluation negatives " in commands


@pytest.mark.parametrize("target", re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE))
def test_make_targets_of_the_readme_exist(target):
    """A target that the README names is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert re.search(rf"^{target}:", makefile, re.MULTILINE)


@pytest.mark.java
@pytest.mark.slow
def test_readme_runs_from_top_to_bottom(tmp_path, minilm):
    """Every block succeeds in an empty folder, in the order of the page."""
    folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    for language, text in BLOCKS:
        command = ["bash", "-ec", text] if language == "sh" else [sys.executable, "-c", text]
        finished = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

        assert finished.returncode == 0, f"{text}\n{finished.stdout}\n{finished.stderr}"
    assert (tmp_path / "report" / "table.md").is_file()
