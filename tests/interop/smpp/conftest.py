"""One gateway for all SMPP peers of a run, and the peers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.esmes import EsmeOptions
from tests.channels.certificates import Authority
from tests.interop.smpp.kannel import Kannel, kannel
from tests.interop.smpp.kannel import version as kannel_version
from tests.interop.smpp.node import Node, node_peer
from tests.interop.smpp.site import Account, Site, serving
from tests.interop.smpp.smsc import Smsc

PASSWORD = "secret"
HOST = "localhost"
_SMSC = ("node", "node-es", "node-pair", "node-sar", "node-payload", "node-rest")
_CARRIERS = ("carrier", "carrier-sar", "carrier-payload", "kannel-in", "kannel-pair", "kannel-tls")
_QUICK = {"enquire_s": 1.0, "reconnect_min_s": 0.1, "reconnect_max_s": 0.5, "stable_s": 0.1}
_REPLIES = EsmeOptions(binds=16, has_replies=True)
_SLOW = EsmeOptions(binds=4, rate=2.0)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """For logs, certificates and settings of peers; other users may read it."""
    with tempfile.TemporaryDirectory(prefix="gateway-interop-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(scope="session")
def authority(folder: Path) -> Authority:
    """Who signs everybody's certificates; its files are in the folder."""
    return Authority(folder, "authority")


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> dict[str, Path]:
    """Certificate and key of whoever is `localhost`."""
    cert, key = authority.sign(HOST)
    return {"cert": cert, "key": key}


@pytest.fixture(scope="session")
def smsc(
    folder: Path, certificate: dict[str, Path], versions: dict[str, str]
) -> Iterator[Smsc]:
    """node-smpp as the carrier that we bind to, plain and over TLS."""
    with node_peer(folder / "node-smsc.log") as node:
        versions["node-smpp"] = node.version
        accounts = dict.fromkeys((*_SMSC, "node-tls", "node-wrong"), PASSWORD)
        yield Smsc(node, node.listen(accounts), node.listen(accounts, certificate))


@pytest.fixture(scope="session")
def site(
    smsc: Smsc, authority: Authority, certificate: dict[str, Path]
) -> Iterator[Site]:
    """The gateway."""
    dialled = _QUICK | {"host": "127.0.0.1", "port": smsc.port, "password": PASSWORD}
    links = {name: dialled | {"system_id": name} for name in _SMSC}
    links["node-pair"]["bind"] = "pair"
    links["node-es"]["single_shift"] = ["es"]
    links["node-sar"]["long_texts"] = "sar"
    links["node-payload"]["long_texts"] = "payload"
    links["node-tls"] = dialled | {
        "system_id": "node-tls", "host": HOST, "port": smsc.tls_port, "tls": True,
        "tls_ca": str(authority.file),
    }  # fmt: skip
    links["node-wrong"] = dialled | {"system_id": "node-wrong", "password": "mistaken"}
    links["node-wrong"]["reconnect_min_s"] = links["node-wrong"]["reconnect_max_s"] = 2.0
    links |= {name: {"kind": "smpp-server", "enquire_s": 1.0} for name in _CARRIERS}
    links["carrier-sar"] |= {"long_texts": "sar", "single_shift": ["es"]}
    links["carrier-payload"]["long_texts"] = links["kannel-pair"]["long_texts"] = "payload"
    accounts = {name: Account(link=name) for name in _CARRIERS}
    for name in ("node-esme", "smpplib", "kannel"):
        accounts[name] = Account(shop=name, options=_REPLIES)
        accounts[f"{name}-slow"] = Account(shop=name, options=_SLOW)
        accounts[f"{name}-ends"] = Account(shop=name)
    accounts["kannel-safe"] = Account(shop="kannel")
    smpp = {
        "listen": "127.0.0.1:0", "tls_listen": "127.0.0.1:0", "tls_cert": str(certificate["cert"]),
        "tls_key": str(certificate["key"]), "enquire_s": 1.0, "attempts": 1000,
    }  # fmt: skip
    shops = {
        "sample": (*_SMSC, "node-tls", "node-wrong", *_CARRIERS),
        "node-esme": ("node",),
        "smpplib": ("node",),
        "kannel": ("node",),
    }
    with serving(links, shops, accounts, smpp) as site:
        yield site


@pytest.fixture(scope="session")
def node(folder: Path) -> Iterator[Node]:
    """node-smpp as who binds to us."""
    with node_peer(folder / "node-esme.log") as node:
        yield node


@pytest.fixture(scope="session")
def boxes(
    site: Site, folder: Path, authority: Authority, versions: dict[str, str]
) -> Iterator[Kannel]:
    """Kannel with all its connections to us."""
    plain, secure = site.ports

    def account(name: str) -> dict[str, object]:
        return {"smsc-username": name, "smsc-password": site.passwords[name]}

    sends: dict[str, object] = {"port": plain}
    hears: dict[str, object] = {"receive-port": plain}
    both: dict[str, object] = {"port": plain, "transceiver-mode": "true"}
    tls: dict[str, object] = both | {"port": secure, "use-ssl": "true"}
    wrong: dict[str, object] = {"smsc-password": "mistaken"}
    connections = {
        "esme": account("kannel") | both,
        "esme-tls": account("kannel-safe") | tls,
        "esme-slow": account("kannel-slow") | both,
        "esme-wrong": account("kannel") | both | wrong,
        "esme-tx": account("kannel-ends") | sends,
        "esme-rx": account("kannel-ends") | hears,
        "carrier": account("kannel-in") | both,
        "carrier-tls": account("kannel-tls") | tls,
        "carrier-wrong": account("kannel-in") | both | wrong,
        "carrier-tx": account("kannel-pair") | sends,
        "carrier-rx": account("kannel-pair") | hears,
    }
    versions["Kannel"] = kannel_version()
    with kannel(folder, connections, authority.file) as boxes:
        yield boxes
