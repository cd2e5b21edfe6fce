"""What the server counts, for Prometheus.

Names as Prometheus wants them (https://prometheus.io/docs/practices/naming/): base units, `_total`.

Not covered: rules and dashboards over them (`deploy/`).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from apps.watched import Watched

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
CACHES = ("answer", "prefix", "image")
REASONS = ("full", "rate", "key", "size", "late", "invalid", "upstream")


class Metrics:
    """Counted in a registry of this app's own, so that two apps in a process don't collide."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(Watched())

        def counter(name: str, doc: str, *labels: str) -> Counter:
            return Counter(f"shopfloor_{name}", doc, labels, registry=registry)

        def gauge(name: str, doc: str, *labels: str) -> Gauge:
            return Gauge(f"shopfloor_{name}", doc, labels, registry=registry)

        def seconds(name: str, doc: str) -> Histogram:
            return Histogram(f"shopfloor_{name}_seconds", doc, buckets=SECONDS, registry=registry)

        self.requests = counter("requests", "Chat completions by HTTP status", "status")
        self.refusals = counter("refusals", "Requests not answered, by reason", "reason")
        self.tokens = counter("tokens", "Tokens by kind", "kind")
        self.hits = counter("cache_hits", "What a cache had", "cache")
        self.misses = counter("cache_misses", "What a cache did not have", "cache")
        self.changes = counter("model_changes", "Champions taken over while running")
        self.duration = seconds("request_duration", "Time to a whole answer")
        self.first_token = seconds("first_token", "Time to the first word of a stream")
        self.queue_wait = seconds("queue_wait", "Time from a request read to its place in the batch")
        self.in_flight = gauge("requests_in_flight", "Requests in hand")
        self.queue = gauge("queue_length", "Requests that wait for a place in the batch")
        self.queue_limit = gauge("queue_limit", "Requests in hand at most")
        self.model = gauge("model_info", "The model that answers new requests", "model", "version")
        self.batch = Histogram(
            "shopfloor_batch_size",
            "Sequences in one forward pass",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        for cache in CACHES:
            self.hits.labels(cache), self.misses.labels(cache)
        for reason in REASONS:
            self.refusals.labels(reason)

    def cached(self, cache: str, hits: int, misses: int) -> None:
        self.hits.labels(cache).inc(hits)
        self.misses.labels(cache).inc(misses)

    def serves(self, model: str, version: str) -> None:
        self.model.clear()
        self.model.labels(model, version).set(1)
