"""The issuer's keys, fetched from one URL: kept, renewed in time, and asked for again at most every few seconds."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpx2
import jwt

from shared.clock import Monotonic
from shared.http.health import Check
from shared.http.signing_keys import ALGORITHMS, KeySetError, SigningKey, fitting, keys_of
from shared.http.tokens import KeysAwayError, TokenError
from shared.logs import get_logger

RENEW_S = 300.0
"""So often the keys are fetched anew, and so long at most a key that the issuer took back is still good."""

KEPT_S = 3600.0
"""So long keys stay good while the issuer cannot be asked."""

RETRY_S = 10.0
"""After a fetch that failed."""

COOLDOWN_S = 10.0
"""Tokens with an unknown `kid` lead to one fetch in this time, whoever sends them and however many."""

FETCH_TIMEOUT_S = 5.0
ANSWER_MAX_BYTES = 256 * 1024

log = get_logger(__name__)


class JwksKeys:
    """The keys at `url`, while `open()` lasts. No token can name another place to get keys from.

    Tests bring their own `transport` and `monotonic` clock (seconds).
    """

    def __init__(
        self, url: str, *, transport: httpx2.AsyncBaseTransport | None = None, monotonic: Monotonic = time.monotonic
    ) -> None:
        self._url = url
        self._transport = transport
        self._monotonic = monotonic
        self._client: httpx2.AsyncClient | None = None
        self._keys: list[SigningKey] = []
        self._version = 0
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._last_try_failed = True
        self._fetching: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Fetch the keys, at once and then again in time. An issuer that is away stops nothing."""
        client = httpx2.AsyncClient(
            transport=self._transport,
            follow_redirects=False,
            timeout=FETCH_TIMEOUT_S,
            headers={"Accept-Encoding": "identity"},
        )
        async with client as self._client:
            renewing = asyncio.create_task(self._renew_for_ever())
            try:
                yield
            finally:
                running = [task for task in (renewing, self._fetching) if task is not None]
                for task in running:
                    task.cancel()
                await asyncio.wait(running)

    @property
    def generation(self) -> int | None:
        """Another number whenever the keys changed; None while there are none that may be trusted."""
        return self._version if self._monotonic() - self._fetched_at <= KEPT_S else None

    @property
    def readiness(self) -> Mapping[str, Check]:
        """`token_keys`: not ready while there are no keys."""
        return {"token_keys": self._check}

    async def key_for(self, token: str) -> SigningKey:
        """The key that `token` must be signed by.

        Raises `TokenError` when there is none, and `KeysAwayError` when the issuer is away, so that nobody knows.
        """
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            raise TokenError("the token cannot be read") from None
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS:
            raise TokenError("the token is signed in a way that is not taken here")
        found = self._fitting(kid, algorithm)
        if found is None and (kid is not None or self.generation is None):
            await self._fetch_unless_just_tried()
            found = self._fitting(kid, algorithm)
        if found is not None:
            return found
        if self._last_try_failed and (kid is not None or self.generation is None):
            raise KeysAwayError
        raise TokenError("the token is signed with a key that is not known here")

    async def _check(self) -> None:
        if self.generation is None:
            raise KeysAwayError

    def _fitting(self, kid: str | None, algorithm: str) -> SigningKey | None:
        return None if self.generation is None else fitting(self._keys, kid=kid, algorithm=algorithm)

    async def _renew_for_ever(self) -> None:
        while True:
            await self._fetch_once_for_all()
            await asyncio.sleep(RETRY_S if self._last_try_failed else RENEW_S)

    async def _fetch_unless_just_tried(self) -> None:
        if self._fetching is not None or self._monotonic() - self._tried_at >= COOLDOWN_S:
            await self._fetch_once_for_all()

    async def _fetch_once_for_all(self) -> None:
        """Wait for the fetch that is under way, or for a new one."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch())
        # Who waits may be cancelled; the others wait on.
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                keys = keys_of(await self._read())
        except Exception as error:  # noqa: BLE001 - whatever it is, the keys are what they were, and it is tried again
            self._last_try_failed = True
            log.warning("jwks.failed", kind=type(error).__name__, error=str(error))
        else:
            self._fetched_at, self._last_try_failed = self._monotonic(), False
            if keys != self._keys:
                self._keys, self._version = keys, self._version + 1
                log.info("jwks.changed", keys=[key.kid for key in keys])
        finally:
            self._tried_at = self._monotonic()
            self._fetching = None

    async def _read(self) -> bytes:
        assert self._client is not None, "open() was not entered"  # noqa: S101 - a fault of this program
        async with self._client.stream("GET", self._url) as answer:
            if answer.status_code != httpx2.codes.OK:
                raise KeySetError(f"answers {answer.status_code}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise KeySetError("is compressed, which it was asked not to be")  # a few bytes could become many
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > ANSWER_MAX_BYTES:
                    raise KeySetError(f"is longer than {ANSWER_MAX_BYTES} bytes")
        return bytes(body)
