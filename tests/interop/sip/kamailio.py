"""Kamailio as a process: a registrar and a proxy that asks for a password and records its route."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from pathlib import Path

from tests.interop.programs import STOP_S, Missing, find
from tests.interop.sip.ports import free_port, is_bound

HOST = "127.0.0.1"
REALM = "kamailio.example.com"
USER = "shop"
PASSWORD = "sesame"
DEADLINE_S = 15.0
_NUMBERS = count(1)

_CONFIG = """#!KAMAILIO
debug=2
log_stderror=yes
log_prefix="[$ci] "
fork=yes
children=1
tcp_children=1
auto_aliases=no
dns=no
rev_dns=no
use_dns_cache=off
enable_tls={enable_tls}
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
{listen_tls}
mpath="{library}/"
{modules}
modparam("ctl", "binrpc", "unix:{place}/ctl")
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "nonce_expire", {nonce_s})
modparam("auth", "nonce_auth_max_drift", 0)
modparam("rr", "enable_full_lr", 1)
modparam("registrar", "max_expires", 3600)
modparam("registrar", "min_expires", 5)
modparam("tm", "fr_inv_timer", 20000)
{tls}
request_route {{
    xlog("L_INFO", "saw $rm from $si:$sp over $proto\\n");
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{
            xlog("L_INFO", "routed $rm\\n");
            t_relay();
        }}
        exit;
    }}
    force_rport();
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("{realm}", "{password}", "0")) {{
            www_challenge("{realm}", "1");
            exit;
        }}
        save("location");
        exit;
    }}
    if (is_method("INVITE")) {{
        if (!pv_proxy_authenticate("{realm}", "{password}", "0")) {{
            proxy_challenge("{realm}", "1");
            exit;
        }}
        consume_credentials();
        record_route();
    }}
    $du = "sip:127.0.0.1:{behind}";
    t_relay();
}}
"""
_MODULES = "tm tmx sl rr pv maxfwd textops siputils xlog usrloc registrar auth ctl"


class Kamailio:
    """A Kamailio that runs."""

    def __init__(
        self, process: asyncio.subprocess.Process, place: Path, port: int, tls: int
    ) -> None:
        self._process = process
        self._place = place
        self.port = port
        self.tls_port = tls

    @property
    def log(self) -> str:
        """What it printed."""
        return (self._place / "log").read_text(errors="replace")

    async def ask(self, *command: str) -> str:
        """An answer of its control interface."""
        done = await asyncio.to_thread(
            subprocess.run,
            [find("kamcmd", "kamailio"), "-s", f"unix:{self._place}/ctl", *command],
            capture_output=True, timeout=DEADLINE_S, check=False, text=True,
        )  # fmt: skip
        return str(done.stdout + done.stderr)

    async def contacts(self) -> str:
        """Whom it has registered."""
        return await self.ask("ul.dump")

    async def until_logged(self, text: str, count: int = 1) -> None:
        """Until it has printed something so often."""
        async with asyncio.timeout(DEADLINE_S):
            while self.log.count(text) < count:  # noqa: ASYNC110 - a file tells of no change
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        """End it with its children, which are a group of their own."""
        if self._process.returncode is None:
            self._process.terminate()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), STOP_S)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


def _library() -> Path:
    """Where the modules are: Debian puts them under the name of the machine's kind."""
    found = sorted(Path("/usr/lib").glob("*/kamailio/modules"))
    if not found or not (found[0] / "tls.so").exists():
        raise Missing("Kamailio's modules are not installed (kamailio-tls-modules)")
    return found[0]


@asynccontextmanager
async def kamailio(
    folder: Path,
    *,
    behind: int = 9,
    algorithm: str = "MD5",
    nonce_s: int = 300,
    certificate: tuple[Path, Path] | None = None,
) -> AsyncIterator[Kamailio]:
    """A Kamailio in front of a peer at the port `behind`."""
    place = folder / f"kamailio-{next(_NUMBERS)}"
    place.mkdir()
    port, tls_port = free_port(), free_port()
    tls = ""
    modules = _MODULES.split()
    if certificate is not None:
        modules.append("tls")
        tls = "\n".join(
            f'modparam("tls", "{name}", "{value}")'
            for name, value in (
                ("certificate", certificate[0]), ("private_key", certificate[1]),
                ("tls_method", "TLSv1.2+"),
            )  # fmt: skip
        )
    text = _CONFIG.format(
        library=_library(), port=port, place=place, algorithm=algorithm, nonce_s=nonce_s,
        realm=REALM, behind=behind, password=PASSWORD, tls=tls, enable_tls="yes" if tls else "no",
        listen_tls=f"listen=tls:127.0.0.1:{tls_port}" if tls else "",
        modules="\n".join(f'loadmodule "{name}.so"' for name in modules),
    )  # fmt: skip
    (place / "kamailio.cfg").write_text(text)
    with (place / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            find("kamailio", "kamailio"), "-f", str(place / "kamailio.cfg"), "-DD", "-E",
            "-w", str(place), "-Y", str(place), "-m", "32", "-M", "8",
            stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    made = Kamailio(process, place, port, tls_port)
    try:
        async with asyncio.timeout(DEADLINE_S):
            while not (is_bound(port, "udp") and is_bound(tls_port if tls else port, "tcp")):
                assert process.returncode is None, made.log
                await asyncio.sleep(0.02)
            while "uptime" not in await made.ask("core.uptime"):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        yield made
    except BaseException:
        print(made.log[-6000:])
        raise
    finally:
        await made.close()
