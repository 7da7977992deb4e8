"""baresip as a process: told what to do, and what it saw."""

from __future__ import annotations

import asyncio
import json
import re
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from math import pi, sin
from pathlib import Path
from typing import Any

from tests.interop.programs import find
from tests.interop.sip.ports import free_port
from tests.interop.sip.sipp import Said

HOST = "127.0.0.1"
DEADLINE_S = 10.0
STOP_S = 1.0
"""baresip waits for calls that nobody ends."""
_NUMBERS = count(1)
_MODULES = ("g711", "aubridge", "aufile", "sndfile", "srtp", "uuid", "cons")
_APPLICATIONS = ("account", "menu", "ctrl_tcp")
_TRACE = re.compile(r"(?:UDP|TCP|TLS) (\S+) -> (\S+)\n(.*?)(?=\n(?:UDP|TCP|TLS) \S+ -> |\Z)", re.S)


class Baresip:
    """A baresip that runs."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, port: int) -> None:
        self._process = process
        self.folder = folder
        self.port = port
        self.tls_port = port + 1
        self.events: list[dict[str, Any]] = []
        self._came = asyncio.Event()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.Task[None] | None = None
        self._keys: asyncio.StreamWriter | None = None

    async def attach(self, control: int, keys: int) -> None:
        """Connect to its control port, as soon as it listens there."""
        async with asyncio.timeout(DEADLINE_S):
            while self._writer is None:
                assert self._process.returncode is None, self.log
                try:
                    reader, self._writer = await asyncio.open_connection(HOST, control)
                    _, self._keys = await asyncio.open_connection(HOST, keys)
                except ConnectionError:
                    await asyncio.sleep(0.02)
        self._reader = asyncio.ensure_future(self._read(reader))

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                size = int((await reader.readuntil(b":"))[:-1])
                text = (await reader.readexactly(size + 1))[:-1]
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            said = json.loads(text)
            if said.get("event"):
                self.events.append(said)
                self._came.set()
            else:
                self._answers.put_nowait(said)

    async def do(self, command: str, params: str = "") -> str:
        """Give a command; its answer."""
        assert self._writer is not None
        text = json.dumps({"command": command, "params": params}).encode()
        self._writer.write(b"%d:%s," % (len(text), text))
        answer = await asyncio.wait_for(self._answers.get(), DEADLINE_S)
        assert answer["ok"], (command, answer)
        return str(answer["data"])

    def press(self, keys: str) -> None:
        """Press keys of its console, which are keys of the phone while it talks."""
        assert self._keys is not None
        self._keys.write(keys.encode())

    async def until(
        self, kind: str, count: int = 1, timeout_s: float = DEADLINE_S
    ) -> dict[str, Any]:
        """The event of this kind that makes it so many."""
        async with asyncio.timeout(timeout_s):
            while len(self.told(kind)) < count:
                self._came.clear()
                await self._came.wait()
        return self.told(kind)[count - 1]

    def told(self, kind: str) -> list[dict[str, Any]]:
        """Its events of a kind."""
        return [each for each in self.events if each["type"] == kind]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """What it printed."""
        text = (self.folder / "log").read_text(errors="replace")
        return re.sub(r"\x1b\[[\d;]*m", "", text).replace("\r\n", "\n")

    @property
    def messages(self) -> list[Said]:
        """What it sent and received."""
        found = []
        for _, target, text in _TRACE.findall(self.log):
            is_received = target in (f"{HOST}:{self.port}", f"{HOST}:{self.tls_port}")
            found.append(Said(is_received, text))
        return found

    async def until_logged(self, text: str) -> None:
        """Until it has printed something."""
        async with asyncio.timeout(DEADLINE_S):
            while text not in self.log:  # noqa: ASYNC110 - a file tells of no change
                await asyncio.sleep(0.02)

    async def until_message(self, name: str, count: int = 1) -> Said:
        """The message that it sent or received and that makes it so many of a name."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = [each for each in self.messages if each.name == name]
                if len(found) >= count:
                    return found[count - 1]
                await asyncio.sleep(0.02)

    @property
    def recorded(self) -> bytes:
        """The samples that it decoded, 16 bits each, of its last call."""
        files = sorted(self.folder.glob("dump-*-dec.wav"))
        return files[-1].read_bytes()[44:] if files else b""

    async def close(self) -> None:
        """End it."""
        for writer in (self._writer, self._keys):
            if writer is not None:
                writer.close()
        if self._reader is not None:
            self._reader.cancel()
        if self._process.returncode is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), STOP_S)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()


def _tone(place: Path) -> Path:
    """A minute of 440 Hz."""
    file = place / "tone.wav"
    second = b"".join(
        int(8000 * sin(2 * pi * 440 * number / 8000)).to_bytes(2, "little", signed=True)
        for number in range(8000)
    )
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(second * 60)
    return file


@asynccontextmanager
async def baresip(
    folder: Path,
    *,
    answers: str = "auto",
    account: str = "",
    transport: str = "udp",
    certificate: tuple[Path, Path] | None = None,
    user: str = "baresip",
    most_calls: int = 4,
    is_traced: bool = True,
) -> AsyncIterator[Baresip]:
    """A baresip of one account that sends a tone of 440 Hz and, when it is traced, writes down its
    messages and what it hears. `account`: parameters of the account, such as
    `;mediaenc=srtp-mand`."""
    place = folder / f"baresip-{next(_NUMBERS)}"
    place.mkdir()
    port, control, keys = free_port(), free_port(), free_port()
    lines = [
        "poll_method epoll", f"sip_listen {HOST}:{port}", f"net_interface {HOST}",
        f"audio_source aufile,{_tone(place)}", "audio_player aubridge,nil", f"snd_path {place}",
        "module_path /usr/lib/baresip/modules",
        *(f"module {name}.so" for name in _MODULES if is_traced or name != "sndfile"),
        *(f"module_app {name}.so" for name in _APPLICATIONS),
        f"ctrl_tcp_listen {HOST}:{control}", f"cons_listen {HOST}:{keys}",
        "jitter_buffer_delay 1-5", f"call_max_calls {most_calls}",
    ]  # fmt: skip
    if certificate is not None:
        pem = place / "both.pem"
        pem.write_bytes(certificate[0].read_bytes() + certificate[1].read_bytes())
        lines.append(f"sip_certificate {pem}")
    (place / "config").write_text("\n".join(lines) + "\n")
    uri = f"sip:{user}@{HOST}:{port};transport={transport}"
    (place / "accounts").write_text(f"<{uri}>;regint=0;answermode={answers}{account}\n")
    (place / "contacts").touch()
    with (place / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            find("baresip", "baresip-core"), "-f", str(place), *(["-s", "-v"] if is_traced else []),
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=place,
        )  # fmt: skip
    made = Baresip(process, place, port)
    try:
        await made.attach(control, keys)
        yield made
    except BaseException:
        print(made.log[-6000:])
        raise
    finally:
        await made.close()
