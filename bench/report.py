"""Figures as people read them."""

from __future__ import annotations

from typing import Any

_HEAD = (
    f"{'load':28}{'conns':>6}{'accepted/s':>11}{'submit_sm/s':>12}{'committed/s':>12}"
    f"{'answer p50/p99':>16}{'to submit_sm':>15}{'gateway':>9}{'PG':>7}{'WAL':>7}{'direct':>8}"
    f"{'others':>8}{'sync':>6}"
)
_UNITS = (
    f"{'':69}{'ms':>16}{'p50/p99 ms':>15}{'us/msg':>9}{'us/msg':>7}{'B/msg':>7}{'%':>8}"
    f"{'%':>8}{'us':>6}"
)


def conditions(machine: dict[str, str]) -> None:
    """What the figures depend on."""
    for name, value in machine.items():
        print(f"{name:12} {value}")
    print(
        "Everything runs on this machine, each in processes of its own: load driver, gateway,\n"
        "PostgreSQL (fsync and synchronous_commit on), simulated SMSC. Rates count from the first\n"
        "request to the last answer, submit_sm or commit; `direct` went past the queue; `others`\n"
        "is the share of the processors that had nothing to do with this benchmark."
    )


def sync(figures: dict[str, float]) -> None:
    """What the disk takes to make a write durable; then the head of the table."""
    median, p99 = figures["median_us"], figures["p99_us"]
    print(f"fdatasync of 8 KiB: median {median:.0f} us, p99 {p99:.0f} us\n")
    print(_HEAD)
    print(_UNITS)


def load(f: dict[str, Any]) -> None:
    """One run."""
    committed = "" if f["committed_per_s"] is None else f"{f['committed_per_s']:,.0f}"
    p50, p99 = f["submit_p50_ms"], f["submit_p99_ms"]
    submit = "" if p50 is None else f"{p50:.2f}/{p99:.2f}"
    answer = f"{f['answer_p50_ms']:.2f}/{f['answer_p99_ms']:.2f}"
    print(
        f"{f['scenario']:28}{f['connections']:>6}{f['accepted_per_s']:>11,.0f}{f['submitted_per_s']:>12,.0f}"
        f"{committed:>12}{answer:>16}{submit:>15}{f['gateway_us']:>9.1f}{f['postgres_us']:>7.1f}"
        f"{f['wal_bytes']:>7.0f}{100 * f['direct']:>8.1f}{100 * f['others']:>8.1f}"
        f"{f['sync_median_us']:>6.0f}",
        flush=True,
    )
    if f["faults"]:
        print(f"    not as it should be: {f['faults']}", flush=True)


def dearest(told: dict[str, Any]) -> None:
    """The functions that take most of the gateway's processor time."""
    total = max(told["samples"], 1)
    print(f"\ndearest functions, single posts, of {total} samples; C code counts for its caller")
    for name, count in told["own"][:5]:
        print(f"{100 * count / total:6.1f} %  {name}")


def idle(rest: dict[str, float]) -> None:
    """What it costs to do nothing."""
    print(
        f"\nat rest, {rest['dead_links']:.0f} links down: gateway {rest['gateway_ms']:.1f} ms/s, "
        f"PostgreSQL {rest['postgres_ms']:.1f} ms/s of processor time, "
        f"{rest['transactions']:.1f} transactions/s",
        flush=True,
    )


def micro(functions: dict[str, float], store: dict[str, float]) -> None:
    """What single steps cost."""
    print("\nsingle steps, us each")
    for name, cost_us in functions.items():
        print(f"{cost_us:8.2f}  {name}")
    print("in the store, us a row in groups of 100, both processes and the sync")
    for name, cost_us in store.items():
        print(f"{cost_us:8.2f}  {name}")
