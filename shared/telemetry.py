"""Prometheus metrics: a registry that a program makes and passes down; no metric carries a tenant."""

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector


def create_registry() -> CollectorRegistry:
    """A registry with the process's own figures (memory, CPU, open files)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
