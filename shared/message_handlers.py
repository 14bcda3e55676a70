"""What goes for every handler of a broker's messages: its failure is told, costs a pause, and it can be ended."""

import asyncio
from traceback import StackSummary, walk_tb
from types import TracebackType
from typing import Any

from faststream import BaseMiddleware, ContextRepo, PublishCommand
from typing_extensions import override

from shared.logs import get_logger

FRAMES_TOLD = 5

log = get_logger(__name__)


class MessageHandlers:
    """The handlers at work. As a FastStream middleware it hears when each begins and ends.

    A message whose handler failed goes back to its queue only after `pause_s` seconds: what failed will fail again at
    once, hundreds of times a second.
    """

    def __init__(self, *, pause_s: float) -> None:
        self.pause_s = pause_s
        self.at_work: set[asyncio.Task[Any]] = set()

    def __call__(self, message: Any, /, *, context: ContextRepo) -> "BaseMiddleware[Any, Any]":
        """Begin to watch over the handling of `message`, or over a publish, which has none."""
        return _Handling(self, message, context=context)

    def cancel(self) -> None:
        """End all that are at work; the broker has their messages back or will take them back."""
        for task in self.at_work:
            task.cancel()


class _Handling(BaseMiddleware[PublishCommand, Any]):
    """One message on its way through its handler; it comes before the acknowledgement."""

    def __init__(self, handlers: MessageHandlers, message: Any, /, *, context: ContextRepo) -> None:
        super().__init__(message, context=context)
        self._handlers = handlers

    @override
    async def on_receive(self) -> None:
        self._handlers.at_work.add(_this_task())

    @override
    async def after_processed(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool:
        try:
            if isinstance(exc_val, Exception):
                pause_s = self._handlers.pause_s
                # Not the error's text: it may hold what was in the message.
                log.error("handler_failed", error=type(exc_val).__name__, at=places(exc_tb), returned_in_s=pause_s)
                await asyncio.sleep(pause_s)
        finally:
            self._handlers.at_work.discard(_this_task())
        return False


def _this_task() -> "asyncio.Task[Any]":
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a handler runs as a task of its own")
    return task


def places(trace: TracebackType | None) -> list[str]:
    """Where it happened, the innermost last."""
    frames = StackSummary.extract(walk_tb(trace), lookup_lines=False)[-FRAMES_TOLD:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
