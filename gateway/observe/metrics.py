"""Counters and gauges for Prometheus. Labels are channels, categories, routes and engines, never
shops: at most 300 series.

Children are looked up once and kept, since `labels()` costs more than the increment. Figures by
shop come from the database (`GET /v1/queues`).
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from gateway.model import Category, Channel, State

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_ROUTES = 32
"""Routes with series of their own; those beyond are counted together as `other`."""


_CATEGORIES = max(Category) + 1


class _Tally(Collector):
    """Counts what happens with every request: in plain lists, since one task at a time writes
    them.
    """

    def __init__(self) -> None:
        self.accepted = [0] * (max(Channel) + 1) * _CATEGORIES
        self.requests = [0] * 6

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counts as Prometheus wants them."""
        accepted = CounterMetricFamily(
            "gateway_messages_accepted", "Messages accepted", labels=["channel", "category"]
        )
        for channel in Channel:
            for category in Category:
                labels = [channel.name.lower(), category.name.lower()]
                accepted.add_metric(labels, self.accepted[channel * _CATEGORIES + category])
        yield accepted
        requests = CounterMetricFamily(
            "gateway_http_requests", "Requests by class of status", labels=["status"]
        )
        for digit, count in enumerate(self.requests[1:], 1):
            requests.add_metric([f"{digit}xx"], count)
        yield requests


class Metrics:
    """All metrics of a process, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._tally = _Tally()
        self.registry.register(self._tally)
        self._accepted = self._tally.accepted
        self._requests = self._tally.requests
        self._segments = self._counter(
            "segments", "Segments by what became of them", ["link", "outcome"]
        )
        self._children: dict[tuple[str, State], Counter] = {}
        self.receipts_unmatched = self._counter(
            "receipts_unmatched", "Receipts that matched no message when they came"
        )
        self.receipts_dropped = self._counter(
            "receipts_dropped", "Unmatched receipts dropped because too many waited"
        )
        self.replies = self._counter("replies", "Texts received from customers")
        self.replies_unrouted = self._counter(
            "replies_unrouted", "Texts received for a number that belongs to no shop"
        )
        self._speech = {
            name: self._counter(f"speech_{name}", text, ["engine"])
            for name, text in (
                ("renders", "Texts that an engine was given to speak"),
                ("errors", "Texts that an engine did not speak"),
                ("seconds", "Time that engines took, waiting for their turn included"),
            )
        }
        self._depths = self._gauge("queue_depth", "Messages that wait", ["route", "place"])
        self._oldest = self._gauge(
            "queue_oldest_seconds", "Age of the oldest message that is ready", ["route"]
        )
        self._links = self._gauge("link_up", "Whether a link is bound: 1 or 0", ["link"])
        self._names: dict[str, str] = {}

    def _counter(self, name: str, text: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"gateway_{name}", text, labels or [], registry=self.registry)

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        return Gauge(f"gateway_{name}", text, labels, registry=self.registry)

    def _label(self, name: str) -> str:
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = name if len(self._names) < MOST_ROUTES else "other"
        return known

    def accepted(self, channel: Channel, category: Category) -> None:
        """A message was accepted."""
        self._accepted[channel * _CATEGORIES + category] += 1

    def requested(self, status: int) -> None:
        """A request was answered with this HTTP status."""
        self._requests[status // 100] += 1

    def segments(self, link: str, state: State, count: int) -> None:
        """So many segments of a link came to this state."""
        counter = self._children.get((link, state))
        if counter is None:
            counter = self._segments.labels(self._label(link), state.word)
            self._children[link, state] = counter
        counter.inc(count)

    def spoke(self, engine: str, seconds: float, is_error: bool) -> None:
        """An engine had a text, and spoke it or failed."""
        label = self._label(engine)
        self._speech["renders"].labels(label).inc()
        self._speech["seconds"].labels(label).inc(seconds)
        if is_error:
            self._speech["errors"].labels(label).inc()

    def set_depth(self, route: str, place: str, count: int) -> None:
        """How many messages of a route are in a place: `queue`, `later`, `hold` or `flight`."""
        self._depths.labels(self._label(route), place).set(count)

    def set_oldest(self, route: str, age_s: float) -> None:
        """How old the oldest ready message of a route is."""
        self._oldest.labels(self._label(route)).set(age_s)

    def set_link(self, link: str, *, is_up: bool) -> None:
        """Whether a link is bound."""
        self._links.labels(self._label(link)).set(1 if is_up else 0)

    def render(self) -> bytes:
        """The text that Prometheus scrapes: about 10 microseconds a series, so keep it for a
        second.
        """
        return generate_latest(self.registry)
