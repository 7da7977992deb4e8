"""`python -m bench.baresip`: what a call costs here, beside what it costs baresip.

Both play sound to the same far end and take what it sends, 50 packets a second each way on every
call; the far end notes when packets come. baresip is called by SIPp and plays a file of its own:
for each call it also decodes, encodes and keeps a thread, where the gateway plays what is encoded
already and looks at each frame's bytes. Needs Debian's baresip-core and sip-tester, which
`make interop` installs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from bench import machine
from bench.rtp import measure
from bench.rtp_parts import HOST, WARM_S, Gaps, Load, Part
from tests.interop.sip.baresip import baresip
from tests.interop.sip.sipp import asks, pause, recv, sipp

CALLS_PER_S = 50
_SETTLE_S = 1.0


@dataclass(frozen=True)
class Figures:
    """Shares of one core in percent, of all calls and of one; gaps between packets of a call."""

    program: str
    calls: int
    core: float
    core_per_call: float
    packets: Gaps


def ours(load: Load) -> Figures:
    """The gateway's media engine in a process of its own."""
    found = measure(load)
    return Figures("gateway", load.calls, found.core, found.core_per_call, found.packets)


async def theirs(load: Load, folder: Path) -> Figures:
    """baresip, called so many times at once by SIPp, which gives the far end's ports."""
    peer = Part("peer", load)
    try:
        ports = await asyncio.to_thread(peer.hear)
        listed = folder / "ports.csv"
        listed.write_text("SEQUENTIAL\n" + "".join(f"{port};\n" for port in ports))
        setup_s = load.calls / CALLS_PER_S + _SETTLE_S
        held_s = setup_s + WARM_S + load.seconds + _SETTLE_S
        steps = _call(int(held_s * 1000))
        options = ["-s", "baresip", "-inf", str(listed), "-r", str(CALLS_PER_S)]
        options += ["-l", str(load.calls)]
        async with (
            baresip(folder, most_calls=load.calls, is_traced=False) as phone,
            sipp(
                folder, *steps, target=phone.port, calls=load.calls, options=options,
                is_traced=False, give_up_s=held_s + setup_s,
            ) as caller,
        ):  # fmt: skip
            await phone.until("CALL_ESTABLISHED", load.calls, setup_s + _SETTLE_S)
            peer.tell([])
            await asyncio.sleep(WARM_S)
            before = machine.processor_s(phone.pid)
            await asyncio.sleep(load.seconds)
            used = machine.processor_s(phone.pid) - before
            gaps = Gaps(**await asyncio.to_thread(peer.hear))
            await caller.finish(held_s + setup_s)
        share = 100 * used / load.seconds
        return Figures("baresip", load.calls, share, share / load.calls, gaps)
    finally:
        peer.end()


def _call(held_ms: int) -> list[str]:
    """A call whose sound goes to the next of the far end's ports."""
    offer = "\n".join(
        [
            "v=0",
            "o=sipp 1 1 IN IP4 [local_ip]",
            "s=-",
            f"c=IN IP4 {HOST}",
            "t=0 0",
            "m=audio [field0] RTP/AVP 0",
            "a=rtpmap:0 PCMU/8000",
            "a=ptime:20",
        ]
    )
    return [
        asks("INVITE", 1, body=offer, is_first=True),
        recv(100, optional=True),
        recv(180, optional=True),
        recv(200, rrs=True),
        asks("ACK", 1),
        pause(held_ms),
        asks("BYE", 2),
        recv(200),
    ]


def show(found: list[Figures]) -> None:
    """A line for the runs of one program: their medians."""
    first = found[0]
    gaps = (
        median(getattr(each.packets, name) for each in found) for name in ("p50", "p99", "p999")
    )
    print(
        f"{first.program:12}{first.calls:6}{median(each.core for each in found):9.1f}"
        f"{median(each.core_per_call for each in found):9.3f}"
        + "".join(f"{gap:8.1f}" for gap in gaps),
        flush=True,
    )


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.baresip", description="Measure calls beside those of baresip."
    )
    add = parser.add_argument
    add("--calls", type=int, nargs="+", default=[50, 100], metavar="N", help="calls at once")
    add("--seconds", type=float, default=10.0, metavar="S", help="length of a run (default 10)")
    add("--runs", type=int, default=3, metavar="N", help="runs of each (default 3)")
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    for name, value in machine.describe().items():
        print(f"{name:12} {value}")
    print(
        "\nShares of one core in percent, of all calls and of one; gaps between packets in ms."
        f"\n\n{'program':12}{'calls':>6}{'core':>9}{'a call':>9}{'p50':>8}{'p99':>8}{'p99.9':>8}"
    )
    told = []
    for calls in options.calls:
        load = Load("baresip", calls, options.seconds)
        mine = [ours(load) for _ in range(options.runs)]
        show(mine)
        other = []
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
                other.append(asyncio.run(theirs(load, Path(folder))))
        show(other)
        told += [asdict(each) for each in (*mine, *other)]
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
