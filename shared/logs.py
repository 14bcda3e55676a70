"""Logs: one JSON object a line on stdout, a fixed event name and ids as fields, never a secret or a body."""

import logging
import sys

import structlog
from opentelemetry.trace import format_trace_id, get_current_span


def configure_logs(level: str, *, service: str) -> None:
    """Send structlog's and the standard library's records of `level` and above to stdout as JSON lines."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _add_trace,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )

    def add_service(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                add_service,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    # The access log of a library is a line a request or message: the metrics count those.
    for chatty in ("uvicorn.access", "aio_pika", "aiormq", "faststream", "httpx2", "httpcore2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # It repeats what a sender wrote into a header.
    logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)


def _add_trace(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = format_trace_id(context.trace_id)
    return event


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for the module `name`."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger
