"""Secrets: in files of their own, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.config.reading import LINK, Reader


def _secret(folder: Path, content: bytes = b"s3cret\n", mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_is_read_from_its_file(reader: Reader) -> None:
    """The content without its line end; the path is relative to the settings."""
    _secret(reader.folder)
    assert reader.read(LINK + 'password_file = "secret"\n').links[0].password == "s3cret"


def test_the_database_url_may_be_in_a_file(reader: Reader) -> None:
    """A URL with a password in it is a secret like any other."""
    _secret(reader.folder, b"postgresql://u:p@127.0.0.1/db\n")
    settings = reader.read('[store]\ndatabase_url_file = "secret"\n')
    assert settings.store.database_url == "postgresql://u:p@127.0.0.1/db"


@pytest.mark.parametrize(
    ("content", "mode", "problem"),
    [
        (b"s3cret", 0o604, "may be read by everybody"),
        (b"\n", 0o600, "is empty"),
        (b"\xff", 0o600, "is not UTF-8"),
        (b"x" * 5_000, 0o600, "is longer than 4096 bytes"),
        (b"longer-than-8", 0o600, "should hold text, at most 8 characters"),
    ],
)
def test_an_unfit_secret_file_is_a_fault(
    reader: Reader, content: bytes, mode: int, problem: str
) -> None:
    """A file that is open to all, empty, binary, endless or too long is refused, unshown."""
    path = _secret(reader.folder, content, mode)
    fault = reader.fault(LINK + f'password_file = "{path}"\n')
    assert (fault.where, fault.line) == ("links[0].password_file", 6)
    assert problem in fault.problem
    assert "s3cret" not in str(fault)


def test_a_pipe_is_no_secret_file(reader: Reader) -> None:
    """Reading it would wait for a writer that may never come."""
    os.mkfifo(reader.folder / "pipe", 0o600)
    fault = reader.fault(LINK + 'password_file = "pipe"\n')
    assert "not a regular file" in fault.problem


def test_a_missing_secret_file_is_a_fault(reader: Reader) -> None:
    """The fault names the file and the reason."""
    fault = reader.fault(LINK + 'password_file = "none"\n')
    assert fault.problem == f"{reader.folder / 'none'} cannot be read: No such file or directory"


def test_two_forms_of_one_secret_are_a_fault(reader: Reader) -> None:
    """Which one holds would be a guess."""
    _secret(reader.folder)
    fault = reader.fault(LINK + 'password = "lab"\npassword_file = "secret"\n')
    assert fault.problem == "password is set too"


def test_a_secret_of_the_environment_replaces_either_form(reader: Reader) -> None:
    """A variable needs no change of the file, whichever form the file has."""
    path = _secret(reader.folder)
    by_file = reader.read(
        LINK + 'password = "lab"\n', {"GATEWAY__LINKS__ACME__PASSWORD_FILE": str(path)}
    )
    assert by_file.links[0].password == "s3cret"
    inline = reader.read(
        LINK + 'password_file = "none"\n', {"GATEWAY__LINKS__ACME__PASSWORD": "lab"}
    )
    assert inline.links[0].password == "lab"


def test_a_secret_is_never_shown(reader: Reader) -> None:
    """Neither the repr of settings nor a fault holds a password."""
    url = "postgresql://u:canary@127.0.0.1/db"
    settings = reader.read(LINK + f'password = "canary"\n[store]\ndatabase_url = "{url}"\n')
    assert "canary" not in repr(settings)
    fault = reader.fault(LINK + 'password = "canary-canary"\n')
    assert "canary" not in str(fault)
    assert "canary" not in str(reader.fault(LINK + 'password = ["canary"]\n'))
    assert "canary" not in str(reader.fault('[store]\ndatabase_url = "canary"\n'))
