"""What alerts counts."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared.messages.alert_events import PipelineCause
from shared.models import GatewayState, InstallationState


class AlertsMetrics:
    """Counters and gauges of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.heard = Counter("mbus_alerts_readings_heard", "Readings that events told of", registry=registry)
        self.transitions = Counter(
            "mbus_alerts_transitions", "Installations that changed their state", ["to"], registry=registry
        )
        self.gateway_transitions = Counter(
            "mbus_alerts_gateway_transitions", "Gateways that changed their state", ["to"], registry=registry
        )
        for state in (InstallationState.STALE, InstallationState.FRESH):
            self.transitions.labels(state.value)
        for gateway_state in GatewayState:
            self.gateway_transitions.labels(gateway_state.value)
        self.reminders = Counter(
            "mbus_alerts_reminders", "Alerts of which subscribers were to be told again", registry=registry
        )
        self.delivered = Counter("mbus_alerts_deliveries", "Alert events published", registry=registry)
        self.sent = Counter(
            "mbus_alerts_subscription_attempts",
            "Messages sent to subscriptions, each attempt",
            ["by", "outcome"],
            registry=registry,
        )
        for by in ("webhook", "mail"):
            for outcome in ("delivered", "failed"):
                self.sent.labels(by, outcome)
        self.judging = Gauge(
            "mbus_alerts_judging", "1 while silence is judged, 0 while judgement is held or fails", registry=registry
        )
        self.judging_lag = Gauge(
            "mbus_alerts_judging_lag_seconds", "How far behind the present silence is judged", registry=registry
        )
        self.held = Counter(
            "mbus_alerts_held", "How often this replica found a reason to hold judgement", ["cause"], registry=registry
        )
        for cause in PipelineCause:
            self.held.labels(cause.value)
        self.rounds = Histogram(
            "mbus_alerts_round_seconds",
            "From a look at ingest's queue until all sessions had answered, where this replica leads",
            buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30),
            registry=registry,
        )

    def count_sent(self, *, by_mail: bool, delivered: bool) -> None:
        """One attempt to tell a subscription."""
        self.sent.labels("mail" if by_mail else "webhook", "delivered" if delivered else "failed").inc()


class StreamMetrics:
    """Of the live streams of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.streams = Gauge("mbus_alerts_streams", "Live streams that are open", registry=registry)
        self.streamed = Counter("mbus_alerts_streamed", "Alert events told on live streams", registry=registry)
