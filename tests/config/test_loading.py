"""Settings from a file: values, defaults, and faults that name key and line."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.loading import SettingsError, load
from config.settings import Settings
from tests.config.reading import LINK, Reader


def test_an_empty_file_is_the_defaults(reader: Reader) -> None:
    """An empty file, no file and the structs alone mean the same."""
    assert reader.read("") == load(None, {}) == Settings()


def test_values_replace_defaults(reader: Reader) -> None:
    """What the file says holds; what it leaves out has its default."""
    settings = reader.read('[http]\nlisten = "127.0.0.1:9000"\n[log]\nformat = "json"\n')
    assert settings.http.listen == "127.0.0.1:9000"
    assert settings.http.body_max_bytes == 65_536
    assert settings.log.format == "json"


def test_links_are_a_list_of_tables(reader: Reader) -> None:
    """Each [[links]] table is a link, in the order of the file."""
    second = LINK.replace("acme", "beta").replace("lab", "other")
    links = reader.read(LINK + "rate = 50\n" + second).links
    assert [(link.name, link.system_id, link.rate) for link in links] == [
        ("acme", "lab", 50.0),
        ("beta", "other", 0.0),
    ]


def test_paths_start_at_the_folder_of_the_file(reader: Reader) -> None:
    """A relative path belongs to the file that names it; an empty one is none."""
    settings = reader.read('[store]\ndata_dir = "data"\n[http]\ntls_cert = ""\n')
    assert settings.store.data_dir == reader.folder / "data"
    assert settings.http.tls_cert is None


def test_the_default_data_folder_follows_the_environment(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary user's data goes to XDG_DATA_HOME, root's to /var/lib."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    settings = reader.read("", {"XDG_DATA_HOME": "/srv/share"})
    assert settings.store.data_dir == Path("/srv/share/sms-voice-gateway")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert reader.read("").store.data_dir == Path("/var/lib/sms-voice-gateway")


@pytest.mark.parametrize(
    ("text", "where", "line", "problem"),
    [
        ('[http]\nlisten = 8080\n', "http.listen", 2, "expected text, got 8080"),
        ('[http]\nbehind_proxy = "yes"\n', "http.behind_proxy", 2, "expected true or false"),
        ("[node]\n\nlease_s = true\n", "node.lease_s", 3, "expected a number from 2 to 300"),
        ("[node]\nlease_s = 1\n", "node.lease_s", 2, "got 1"),
        ("[node]\nlease_s = nan\n", "node.lease_s", 2, "got nan"),
        ("[limits]\nretry_max_s = inf\n", "limits.retry_max_s", 2, "at most 604800"),
        ("[sms]\ncountries = ['us']\n", "sms.countries", 2, 'a country such as "US"'),
        ("[sms]\ncountries = 'US'\n", "sms.countries", 2, "expected a list"),
        ("[log]\nlevel = 'loud'\n", "log.level", 2, '"error", "info"'),
        ("[store]\ndata_dir = 5\n", "store.data_dir", 2, "expected the path of a file"),
        ("[node]\nname = '''a\n'''\n", "node.name", 2, 'a name such as "gateway-1"'),
        ("[node]\nname = 2026-01-01\n", "node.name", 2, "got 2026-01-01"),
        ("http = 5\n", "http", 1, "expected a table [http], got 5"),
        ("links = 5\n", "links", 1, "expected [[links]], got 5"),
        ("[links]\nname = 'x'\n", "links", 1, "expected [[links]], got a table"),
        ("links = [5]\n", "links[0]", 1, "expected a table"),
        (LINK + "port = 0\n", "links[0].port", 6, "from 1 to 65535, got 0"),
        (LINK + 'long_texts = "udh9"\n', "links[0].long_texts", 6, '"udh8", got "udh9"'),
        (LINK.replace("acme", "Acme"), "links[0].name", 3, '"acme" or "acme-east-2"'),
        (LINK.replace("127.0.0.1", "a b"), "links[0].host", 4, "a host name or address"),
        (LINK.replace('host = "127.0.0.1"', ""), "links[0].host", 2, "missing"),
    ],
)
def test_a_faulty_value_is_named(
    reader: Reader, text: str, where: str, line: int, problem: str
) -> None:
    """A fault tells the key, its line, what is expected there and what was found."""
    first = reader.faults(text)[0]
    assert (first.where, first.line, first.source) == (where, line, str(reader.path))
    assert problem in first.problem


@pytest.mark.parametrize(
    ("text", "where", "hint"),
    [
        ("[http]\nlistn = 'x'\n", "http.listn", "did you mean listen?"),
        ("[htp]\nlisten = 'x'\n", "htp", "did you mean http?"),
        ("[[link]]\nname = 'x'\n", "link", "did you mean links?"),
        (LINK + "pasword = 'x'\n", "links[0].pasword", "did you mean password?"),
        ("[log]\nzzzzzz = 'x'\n", "log.zzzzzz", "known here: level, format"),
        ("[log]\n'a\u00e9\\n' = 1\n", 'log."a\u00e9\\u005cn"', "known here: level, format"),
    ],
)
def test_an_unknown_key_is_a_fault(reader: Reader, text: str, where: str, hint: str) -> None:
    """A key that means nothing is never ignored; the nearest known one is offered."""
    fault = reader.fault(text)
    assert (fault.where, fault.problem, fault.hint) == (where, "unknown", hint)


def test_all_faults_come_in_one_run(reader: Reader) -> None:
    """Types, unknown keys, missing keys and rules between keys, in the order of the file."""
    text = """
[http]
listen = "0.0.0.0:8080"
body_max_bytes = "64k"
[[links]]
name = "acme"
port = 99999
colour = "red"
[limits]
retry_min_s = 100
retry_max_s = 10
"""
    named = [(fault.line, fault.where) for fault in reader.faults(text)]
    assert named == [
        (3, "http.listen"),
        (4, "http.body_max_bytes"),
        (5, "links[0].host"),
        (5, "links[0].system_id"),
        (7, "links[0].port"),
        (8, "links[0].colour"),
        (10, "limits.retry_min_s"),
    ]


def test_a_fault_reads_as_one_line(reader: Reader) -> None:
    """File, line, key, problem and advice stand on one line that an editor can follow."""
    fault = reader.fault(LINK + 'tls_ca = "ca.pem"\n')
    assert str(fault) == (
        f"{reader.path}:6: links[0].tls_ca: is not used without TLS"
        " (set tls = true, or leave it out)"
    )


def test_what_is_not_toml_is_named_by_line(reader: Reader) -> None:
    """A mistake of syntax tells its line too."""
    fault = reader.fault("[http]\nlisten = \n")
    assert (fault.where, fault.line) == ("", 2)


def test_a_user_without_a_home_names_the_data_folder(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no default will do, the key is missing; named, it is in order."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    fault = reader.fault("")
    assert (fault.where, fault.problem) == ("store.data_dir", "missing")
    assert reader.read('[store]\ndata_dir = "/srv"\n').store.data_dir == Path("/srv")


@pytest.mark.parametrize(
    "text", ["x = " + "[" * 100_000, "[log]\nlevel = " + "9" * 10_000, "a = 1\na = 2\n"]
)
def test_absurd_toml_is_a_fault(reader: Reader, text: str) -> None:
    """What the parser cannot read is told as a fault, never as a traceback."""
    assert reader.faults(text)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"# " + b"x" * 1_048_576])
def test_a_file_that_is_no_settings_file_is_refused(reader: Reader, content: bytes) -> None:
    """Neither binary nor endless files are read as settings."""
    reader.path.write_bytes(content)
    with pytest.raises(SettingsError, match="UTF-8|longer than"):
        load(reader.path, {})


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    """A file that was asked for is never silently replaced by defaults."""
    with pytest.raises(SettingsError, match="No such file"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(SettingsError, match="not a regular file|directory"):
        load(tmp_path, {})


_VALUES = st.recursive(
    st.sampled_from(["1", "-1", "0.5", "nan", "true", '""', '"x"', "'a:1'", "2026-01-01", "{}"]),
    lambda inner: st.lists(inner, max_size=2).map(lambda items: f"[{', '.join(items)}]"),
    max_leaves=3,
)
_KEYS = ["http", "http.listen", "store.data_dir", "links", "sms.countries", "x.y", "mail.password"]


@given(st.sampled_from(_KEYS), _VALUES)
def test_no_value_does_more_than_fault(key: str, value: str) -> None:
    """Whatever a key holds, the settings load or name faults; nothing else escapes."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "gateway.toml"
        path.write_text(f"{key} = {value}\n")
        try:
            load(path, {})
        except SettingsError as error:
            assert error.faults
