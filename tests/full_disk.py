"""Run every command that writes on a disk that is too small, and again once there is room.

    unshare --map-root-user --mount python tests/full_disk.py

The disk is a tmpfs of a part of what the command writes, mounted in a namespace of its own. The
command must end with exit code 1 and one line that names the output and says that the disk is full,
leave nothing but what it can go on with, and end well after the disk has grown.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

_PAGE = 4096
_SHARES = (0.0, 0.4, 0.8)


def fill(harness, command, folder, share):
    """Run a command where there is room for a share of its output; give what it said."""
    size = _measure(harness.root / "calm", command.output)
    room = max(int(size * share) // _PAGE, 1) * _PAGE
    folder.mkdir()
    _mount(folder, f"size={room}")
    try:
        status = harness.wait(harness.fork(command, folder / "out"), folder / "out")
        said = harness.log(folder / "out")
        assert status == 1, f"{command.name} ended with {status}:\n{said}"
        assert "Traceback" not in said, said
        left = [] if command.resumes else list((folder / "out").rglob("*"))
        assert left == [], f"{command.name} left {left}"
        _mount(folder, "remount,size=64m")
        status = harness.wait(harness.fork(command, folder / "out"), folder / "out")
        assert status == 0, harness.log(folder / "out")
        found = command.content(folder / "out" / command.output)
        assert found == harness.expected[command.name], f"{command.name}: made something else"
    finally:
        subprocess.run(["umount", folder], check=True)
    return said.strip().splitlines()[-1]


def _measure(folder, name):
    """Give the bytes that a command wrote, manifest included."""
    top = [path for path in (folder / name, folder / f"{name}.json") if path.exists()]
    files = [file for path in top for file in (path.rglob("*") if path.is_dir() else [path])]
    return sum(file.stat().st_size for file in files if file.is_file())


def _mount(folder, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)


def main():
    """Fill the disk of every command; print what each said, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-java", action="store_true", help="leave out what needs a JVM")
    parser.add_argument("--shares", type=float, nargs="+", default=_SHARES, metavar="X")
    parser.add_argument("--only", nargs="+", default=[], metavar="COMMAND")
    args = parser.parse_args()
    from tests.kill_harness import Harness, load_everything

    load_everything()
    said = {}
    with tempfile.TemporaryDirectory(prefix="ance-full-") as folder:
        harness = Harness(Path(folder), has_java=not args.no_java, only=args.only)
        for command in harness.commands:
            for share in args.shares:
                place = Path(folder) / f"disk-{len(said)}"
                said[f"{command.name} at {share}"] = fill(harness, command, place, share)
    sys.stdout.write(f"{json.dumps(said, indent=2)}\n")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
