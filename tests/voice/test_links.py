"""Links to hear speech."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.voice.links import SECRET_FILE, BadLink, LinkExpired, Links, read_secret

KEY = "ab" * 32
LINKS = Links(b"s" * 32)
TOKEN = LINKS.make(KEY, 1_000)


def test_a_link_leads_to_its_key_until_it_ends() -> None:
    """And not a second longer."""
    assert LINKS.read(TOKEN, 999.9) == KEY
    with pytest.raises(LinkExpired):
        LINKS.read(TOKEN, 1_000)


@pytest.mark.parametrize("place", range(len(TOKEN)))
def test_a_changed_link_is_none(place: int) -> None:
    """Whichever character was changed: key, time and signature."""
    other = "A" if TOKEN[place] != "A" else "B"
    with pytest.raises(BadLink):
        LINKS.read(TOKEN[:place] + other + TOKEN[place + 1 :], 0)


def test_a_link_of_another_secret_is_none() -> None:
    """Nobody can make one up."""
    with pytest.raises(BadLink):
        Links(b"t" * 32).read(TOKEN, 0)


@given(st.text(max_size=100))
def test_no_text_is_a_link(text: str) -> None:
    """And none breaks anything."""
    with pytest.raises(BadLink):
        LINKS.read(text, 0)


def test_the_secret_is_made_once_and_private(tmp_path: Path) -> None:
    """Processes that start together have the same one."""
    folder = tmp_path / "speech"
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: read_secret(folder), range(32)))
    assert len(found) == 1
    assert os.listdir(folder) == [SECRET_FILE]
    assert stat.S_IMODE((folder / SECRET_FILE).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_a_folder_every_secret_is_new() -> None:
    """It lasts as long as the process."""
    assert read_secret(None) != read_secret(None)


def test_a_folder_that_is_elsewhere_gets_no_secret(tmp_path: Path) -> None:
    """A link in its place is not followed, and one that was open to others is closed."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    folder = tmp_path / "speech"
    folder.symlink_to(elsewhere)
    with pytest.raises(PermissionError):
        read_secret(folder)
    assert os.listdir(elsewhere) == []
    read_secret(elsewhere)
    assert elsewhere.stat().st_mode & 0o777 == 0o700


def test_a_pipe_is_no_secret(tmp_path: Path) -> None:
    """It is not waited for."""
    os.mkfifo(tmp_path / SECRET_FILE, 0o600)
    with pytest.raises(PermissionError):
        read_secret(tmp_path)


def test_a_secret_that_others_may_read_is_none(tmp_path: Path) -> None:
    """Nor one that is cut short, or somewhere else."""
    path = tmp_path / SECRET_FILE
    path.write_bytes(b"s" * 32)
    path.chmod(0o644)
    with pytest.raises(PermissionError):
        read_secret(tmp_path)
    path.chmod(0o600)
    assert read_secret(tmp_path) == b"s" * 32
    path.write_bytes(b"short")
    with pytest.raises(PermissionError):
        read_secret(tmp_path)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(OSError):
        read_secret(tmp_path)
