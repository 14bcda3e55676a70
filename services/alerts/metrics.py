"""What alerts counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class AlertsMetrics:
    """Counters and gauges of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.heard = Counter("mbus_alerts_readings_heard", "Readings that events told of", registry=registry)
        self.transitions = Counter(
            "mbus_alerts_transitions", "Installations that changed their state", ["to"], registry=registry
        )
        self.delivered = Counter("mbus_alerts_deliveries", "Alert events published", registry=registry)
        self.judging = Gauge(
            "mbus_alerts_judging", "1 while silence is judged, 0 while judgement is held", registry=registry
        )
