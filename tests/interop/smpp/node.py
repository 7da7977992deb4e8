"""node-smpp in a process of its own (node/peer.js), as SMSC, carrier or ESME."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from tests.interop.programs import Missing, find, running
from tests.interop.waiting import Seen

FOLDER = Path(__file__).parents[1] / "node"

Fields = Mapping[str, Any]
Told = dict[str, Any]
UDH_INDICATOR = 0x40


class Refused(Exception):
    """node-smpp could not do what it was told to."""


@dataclass(frozen=True)
class Session:
    """One SMPP session of the process."""

    node: Node
    label: str

    def send(self, command: str, **fields: Any) -> Told:
        """Send a request, and wait for the PDU that answers it."""
        told = self.node.ask(do="send", session=self.label, command=command, fields=fields)
        answer: Told = told["pdu"]
        return answer

    def send_all(self, command: str, requests: Iterable[Fields]) -> list[Told]:
        """Send many without waiting for any; the PDUs that answer them, in their order."""
        whose = {"do": "send", "session": self.label, "command": command}
        answers = self.node.ask_all([whose | {"fields": fields} for fields in requests])
        return [answer["pdu"] for answer in answers]

    def seen(self, command: str) -> list[Told]:
        """The PDUs of this kind that came by it."""
        return [each["pdu"] for each in self.node.events if self._is(each, command)]

    def until(self, command: str, count: int = 1, **fields: Any) -> list[Told]:
        """The first PDUs of this kind that came by it and have these fields."""
        found = self.node.events.until(
            lambda each: self._is(each, command) and fields.items() <= each["pdu"].items(),
            f"{count} {command} by {self.label} with {fields}",
            count=count,
        )
        return [each["pdu"] for each in found]

    def until_closed(self) -> None:
        """Wait until the connection is gone."""
        self.node.events.until(
            lambda each: each.get("event") == "closed" and each["session"] == self.label,
            f"{self.label} is closed",
        )

    def close(self) -> None:
        """Hang up."""
        self.node.ask(do="close", session=self.label)

    def _is(self, each: Told, command: str) -> bool:
        is_mine = each.get("event") == "pdu" and each["session"] == self.label
        return is_mine and each["pdu"]["command"] == command


class Node:
    """The process. `events`: what it told, in order."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.events: Seen[Told] = Seen()
        self._refs = count(1)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.add(json.loads(line))

    def ask(self, **command: Any) -> Told:
        """Tell it to do something; returns its answer. Raises Refused."""
        return self.ask_all([command])[0]

    def ask_all(self, commands: Iterable[Mapping[str, Any]]) -> list[Told]:
        """The same with many at once; the answers are in their order."""
        told = {next(self._refs): command for command in commands}
        assert self.process.stdin is not None
        lines = [json.dumps({**command, "ref": ref}) + "\n" for ref, command in told.items()]
        self.process.stdin.write("".join(lines).encode())
        self.process.stdin.flush()
        answers = self.events.until(
            lambda each: each.get("ref") in told, f"answers to {lines[:2]}", count=len(told)
        )
        for answer in answers:
            if "error" in answer:
                raise Refused(answer["error"])
        return sorted(answers, key=lambda answer: int(answer["ref"]))

    @property
    def version(self) -> str:
        """node-smpp's."""
        return str(self.ask(do="version")["version"])

    def listen(
        self, accounts: Mapping[str, str], tls: Mapping[str, Path] | None = None
    ) -> int:
        """Be an SMSC for these system_ids and passwords; returns its port."""
        files = {key: str(path) for key, path in (tls or {}).items()}
        return int(self.ask(do="listen", accounts=dict(accounts), tls=files or None)["port"])

    def connect(
        self, port: int, tls: Mapping[str, Path] | None = None, *, is_carrier: bool = False
    ) -> Session:
        """Open a session to us. With `tls` (`ca`: whom it trusts) over TLS. A carrier gives ids to
        the texts that it takes. Raises Refused."""
        files = None if tls is None else {key: str(path) for key, path in tls.items()}
        told = self.ask(do="connect", port=port, tls=files, carrier=is_carrier)
        return Session(self, told["session"])

    def bind(
        self,
        port: int,
        system_id: str,
        password: str,
        kind: str = "transceiver",
        tls: Mapping[str, Path] | None = None,
        *,
        is_carrier: bool = False,
    ) -> Session:
        """A session that is bound to us. Raises AssertionError when it is refused."""
        session = self.connect(port, tls, is_carrier=is_carrier)
        told = session.send(f"bind_{kind}", system_id=system_id, password=password)
        assert told["command_status"] == 0, told
        return session

    def refuse(self, command: str, *statuses: int) -> None:
        """Answer the next requests of a kind with these."""
        self.ask(do="refuse", command=command, statuses=list(statuses))

    def bound(self, system_id: str, kind: str = "transceiver", after: int = 0) -> Session:
        """The session by which somebody bound to it, among what came after so many events."""
        found = self.events.until(
            lambda each: (
                each.get("event") == "pdu"
                and each["pdu"]["command"] == f"bind_{kind}"
                and each["pdu"]["system_id"] == system_id
            ),
            f"{system_id} binds as {kind}",
            after=after,
        )
        return Session(self, found[0]["session"])

    def dialled(self, after: int) -> Session:
        """The session on which an outbind came, among what came after so many events."""
        found = self.events.until(
            lambda each: each.get("event") == "pdu" and each["pdu"]["command"] == "outbind",
            "an outbind",
            after=after,
        )
        return Session(self, found[0]["session"])

    def taken(self, session: Session, pdu: Told) -> str:
        """The message_id that it gave to what came."""
        found = self.events.until(
            lambda each: (
                each.get("event") == "taken"
                and each["session"] == session.label
                and each["sequence"] == pdu["sequence_number"]
            ),
            "the message has an id",
        )
        return str(found[0]["message_id"])


@contextmanager
def node_peer(log: Path) -> Iterator[Node]:
    """A process of node-smpp."""
    if not (FOLDER / "node_modules" / "smpp").is_dir():
        raise Missing("node-smpp is not installed (npm package smpp): run `make interop`")
    command = [find("node", "Debian package nodejs"), str(FOLDER / "peer.js")]
    with running(command, log=log, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield Node(process)


def text_of(pdu: Fields) -> str:
    """The text as node-smpp decoded it, of one PDU."""
    payload = pdu.get("message_payload")
    return str((pdu["short_message"] if payload is None else payload)["message"])


def parts_of(pdu: Fields) -> tuple[int, int, int] | None:
    """Reference, number of parts and part number, from the header or the SAR parameters that
    node-smpp read; None where the text is whole."""
    if "sar_total_segments" in pdu:
        return pdu["sar_msg_ref_num"], pdu["sar_total_segments"], pdu["sar_segment_seqnum"]
    for element in pdu["short_message"].get("udh", ()):
        octets = bytes.fromhex(element["hex"])
        if octets[0] == 0x00:
            return octets[2], octets[3], octets[4]
        if octets[0] == 0x08:
            return int.from_bytes(octets[2:4], "big"), octets[4], octets[5]
    return None


def whole(pdus: Iterable[Fields]) -> str:
    """The text of several parts, put in order by what node-smpp read of them."""
    numbered = {}
    marks = set()
    for pdu in pdus:
        found = parts_of(pdu)
        assert found is not None, f"not a part of a text: {pdu}"
        reference, total, number = found
        marks.add((reference, total))
        numbered[number] = text_of(pdu)
    assert len(marks) == 1, f"the parts are of different texts: {marks}"
    assert sorted(numbered) == list(range(1, marks.pop()[1] + 1))
    return "".join(numbered[number] for number in sorted(numbered))


def udh_parts(text: str, size: int, coding: int, reference: int = 0x5A) -> list[dict[str, Any]]:
    """Fields of the PDUs that bring a long text in parts of at most `size` UTF-16 units, with
    headers; the text in each is for node-smpp to encode."""
    cut = [""]
    for character in text:
        if len((cut[-1] + character).encode("utf-16-be")) > 2 * size:
            cut.append("")
        cut[-1] += character
    return [
        {
            "data_coding": coding,
            "esm_class": UDH_INDICATOR,
            "short_message": {
                "udh": {"hex": bytes((5, 0, 3, reference, len(cut), number)).hex()},
                "message": part,
            },
        }
        for number, part in enumerate(cut, 1)
    ]
