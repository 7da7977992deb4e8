"""Kannel's bearerbox and smsbox in processes of their own, bound to our server.

What Kannel sees is read from two places: its HTTP calls (texts from phones and receipts, as it
understood them), and the PDUs in bearerbox's log, decoded by Kannel.
"""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode, urlsplit

from tests.interop.programs import find, running
from tests.interop.smpp.ports import free_ports
from tests.interop.waiting import Seen, eventually

_VERSION = re.compile(r"version `([^']+)'")
_LINE = re.compile(r"^\S+ \S+ \[\d+\] \[(?P<thread>\d+)\] DEBUG: (?P<text>.*)$")
_HEAD = re.compile(r"SMPP\[(?P<smsc>[^\]]+)\]: (?P<what>Sending|Got) [^:]+:")
_FIELD = re.compile(r"^\s*(?P<name>\w+):\s*(?P<value>.*)$")


@dataclass(frozen=True)
class Pdu:
    """One PDU that Kannel sent or got, as it dumped it."""

    smsc: str
    is_sent: bool
    fields: Mapping[str, str]

    @property
    def command(self) -> str:
        """Its name."""
        return self.fields.get("type_name", "")


@dataclass
class Kannel:
    """The processes. `calls`: what Kannel told us by HTTP, as fields of octets."""

    log: Path
    admin_port: int
    sendsms_port: int
    hook: str
    calls: Seen[dict[str, bytes]] = field(default_factory=Seen)

    def send(self, smsc: str, source: str, to: str, text: str, **options: Any) -> None:
        """Have Kannel send a text by one of its connections; it has to accept it."""
        fields = {
            "username": "interop", "password": "interop", "smsc": smsc, "from": source, "to": to,
            "text": text, "charset": "UTF-8",
        } | options  # fmt: skip
        said = self._get(self.sendsms_port, "/cgi-bin/sendsms", fields)
        assert said.startswith("0:"), said

    def receipts_for(self, mark: str) -> dict[str, Any]:
        """Options of `send` that ask for receipts, told with this mark."""
        url = f"{self.hook}/receipt?mark={mark}&type=%d&id=%F&text=%A"
        return {"dlr-mask": 31, "dlr-url": url}

    def status(self, smsc: str) -> str:
        """How a connection stands, in Kannel's words."""
        said = self._get(self.admin_port, "/status.xml", {"password": "interop"})
        for block in said.split("<smsc>")[1:]:
            if f"<admin-id>{smsc}</admin-id>" in block or f"<id>{smsc}</id>" in block:
                return block.partition("<status>")[2].partition("</status>")[0]
        return "unknown"

    def until_status(self, smsc: str, beginning: str) -> None:
        """Wait until a connection stands so."""
        eventually(lambda: self.status(smsc).startswith(beginning), f"{smsc} is {beginning}")

    def stop(self, smsc: str) -> None:
        """Have Kannel unbind a connection."""
        self._get(self.admin_port, "/stop-smsc", {"password": "interop", "smsc": smsc})

    def start(self, smsc: str) -> None:
        """Have Kannel bind a connection, and wait until it has."""

        def look() -> bool:
            self._get(self.admin_port, "/start-smsc", {"password": "interop", "smsc": smsc})
            return self.status(smsc).startswith("online")

        eventually(look, f"{smsc} is online again")

    def until_pdus(self, smsc: str, command: str, *, is_sent: bool, count: int = 1) -> list[Pdu]:
        """The same as soon as there are so many."""

        def look() -> list[Pdu] | None:
            found = self.pdus(smsc, command, is_sent=is_sent)
            return found if len(found) >= count else None

        return eventually(look, f"{count} {command} by Kannel's {smsc}")

    def pdus(self, smsc: str, command: str, *, is_sent: bool) -> list[Pdu]:
        """The PDUs of a kind that passed by a connection."""
        return [
            pdu
            for pdu in read_pdus(self.log)
            if (pdu.smsc, pdu.command, pdu.is_sent) == (smsc, command, is_sent)
        ]

    def until_text(self, smsc: str, text: str) -> dict[str, bytes]:
        """The call in which Kannel tells a text from a phone."""
        found = self.calls.until(
            lambda call: call["path"] == b"/text" and call["smsc"] == smsc.encode()
            and text_of(call) == text,
            f"Kannel's {smsc} tells the text",
        )  # fmt: skip
        return found[0]

    def until_receipt(self, mark: str, kind: int) -> dict[str, bytes]:
        """The call in which Kannel tells a receipt: 1 delivered, 2 not delivered, 8 accepted."""
        found = self.calls.until(
            lambda call: call["path"] == b"/receipt" and call["mark"] == mark.encode()
            and call["type"] == str(kind).encode(),
            f"Kannel tells receipt {kind} of {mark}",
        )  # fmt: skip
        return found[0]

    def _get(self, port: int, path: str, fields: Mapping[str, Any]) -> str:
        url = f"http://127.0.0.1:{port}{path}?{urlencode(fields)}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                return str(answer.read().decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            return f"{error.code}: {error.read().decode('utf-8', 'replace')}"


def text_of(call: Mapping[str, bytes]) -> str:
    """A text as Kannel has it: in UCS-2, or turned into UTF-8 by itself."""
    return call["text"].decode("utf-16-be" if call["coding"] == b"2" else "utf-8", "replace")


def read_pdus(log: Path) -> list[Pdu]:
    """All PDUs of bearerbox's log. Each thread writes its own, so theirs may be mixed."""
    found = []
    open_: dict[str, tuple[str, bool, dict[str, str]]] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        thread, text = match["thread"], match["text"]
        if head := _HEAD.search(text):
            open_[thread] = head["smsc"], head["what"] == "Sending", {}
        elif thread in open_ and "dump ends" in text:
            found.append(Pdu(*open_.pop(thread)))
        elif thread in open_ and (named := _FIELD.match(text)):
            open_[thread][2][named["name"]] = named["value"]
    return found


class _Server(ThreadingHTTPServer):
    request_queue_size = 1_000
    """Kannel tells a text once, and does not mind whether anybody took it."""


class _Hook(BaseHTTPRequestHandler):
    """Where Kannel tells what came."""

    calls: Seen[dict[str, bytes]]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        pairs = parse_qsl(parts.query, keep_blank_values=True, encoding="latin-1")
        call = {name: value.encode("latin-1") for name, value in pairs}
        self.calls.add(call | {"path": unquote_to_bytes(parts.path)})
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


@contextmanager
def _hook(calls: Seen[dict[str, bytes]]) -> Iterator[str]:
    handler = type("Hook", (_Hook,), {"calls": calls})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def version() -> str:
    """Kannel's."""
    command = [find("bearerbox", "Debian package kannel"), "--version"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    found = _VERSION.search(said.stdout + said.stderr)
    return found[1] if found else "?"


@contextmanager
def kannel(
    folder: Path, connections: Mapping[str, Mapping[str, Any]], authority: Path
) -> Iterator[Kannel]:
    """Kannel with these connections, by their smsc-id; ended at the end. `authority`: whom it
    trusts over TLS."""
    boxes = find("bearerbox", "Debian package kannel"), find("smsbox", "Debian package kannel")
    admin, smsbox, sendsms = free_ports(3)
    log = folder / "bearerbox.log"
    with ExitStack() as stack:
        one = Kannel(log, admin, sendsms, "")
        one.hook = stack.enter_context(_hook(one.calls))
        config = folder / "kannel.conf"
        config.write_text(_config(one, smsbox, connections, authority), encoding="utf-8")
        for box, port in zip(boxes, (admin, sendsms), strict=True):
            its_log = folder / f"{Path(box).name}.log"
            process = stack.enter_context(running([box, "-v", "0", str(config)], log=its_log))
            eventually(lambda: _listens(port, process, its_log), f"{box} listens")  # noqa: B023
        yield one


def _listens(port: int, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, f"it ended: {log.read_text()[-3000:]}"
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def _config(
    one: Kannel,
    smsbox_port: int,
    connections: Mapping[str, Mapping[str, Any]],
    authority: Path,
) -> str:
    groups: list[tuple[str, dict[str, Any]]] = [
        ("core", {
            "admin-interface": "127.0.0.1", "admin-port": one.admin_port,
            "admin-password": "interop", "smsbox-interface": "127.0.0.1",
            "smsbox-port": smsbox_port, "dlr-storage": "internal",
            "sms-combine-concatenated-mo": "true", "sms-resend-freq": 1,
            "ssl-trusted-ca-file": str(authority),
        }),
        ("smsbox", {
            "bearerbox-host": "127.0.0.1", "sendsms-interface": "127.0.0.1",
            "sendsms-port": one.sendsms_port, "mo-recode": "false",
        }),
        ("sendsms-user", {
            "username": "interop", "password": "interop", "max-messages": 10,
            "concatenation": "true",
        }),
        ("sms-service", {
            "keyword": "default", "catch-all": "true", "max-messages": 0, "omit-empty": "true",
            "get-url": f"{one.hook}/text?smsc=%i&from=%p&to=%P&coding=%c&charset=%C&text=%b",
        }),
    ]  # fmt: skip
    for name, settings in connections.items():
        given = {
            "smsc": "smpp", "smsc-id": name, "smsc-admin-id": name, "allowed-smsc-id": name,
            "host": "127.0.0.1", "system-type": "interop", "enquire-link-interval": 1,
            "reconnect-delay": 1, "source-addr-ton": 1, "source-addr-npi": 1,
            "dest-addr-ton": 1, "dest-addr-npi": 1,
        }  # fmt: skip
        groups.append(("smsc", given | dict(settings)))
    # The core group first, and smsc groups before the smsbox; each ends with an empty line.
    order = ("core", "smsc", "smsbox", "sendsms-user", "sms-service")
    groups.sort(key=lambda group: order.index(group[0]))
    return "\n".join(
        "\n".join([f"group = {name}", *(f'{key} = "{value}"' for key, value in keys.items()), ""])
        for name, keys in groups
    )
