"""`mbus token`: a bearer token for the API."""

import asyncio
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from cli.options import duration
from cli.settings import DatabaseSettings
from shared.clock import utc_now
from shared.database import open_engine
from shared.http.token_settings import SigningSettings
from shared.http.tokens import SCOPES, issue_token
from shared.registry.tenants import find_tenant
from shared.settings import load

LONGEST = timedelta(days=3650)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("token")(token_command)


def token_command(
    tenant: Annotated[str, typer.Option(metavar="SLUG|UUID", help="The tenant that the token opens.")],
    subject: Annotated[str, typer.Option(help="Who will use it; it stands in the services' logs.")] = "mbus-cli",
    scope: Annotated[
        list[str],
        typer.Option(help=f"What it may do, separated by spaces or by giving it again: {', '.join(SCOPES)}."),
    ] = ["readings:read alerts:read"],  # noqa: B006 - typer only reads it
    property_ids: Annotated[
        list[UUID] | None,
        typer.Option(
            "--property", metavar="UUID", help="Narrow it to this property of the tenant; may be given several times."
        ),
    ] = None,
    expires: Annotated[
        timedelta, typer.Option(parser=duration, metavar="DURATION", help="How long it is good, such as 1h or 30d.")
    ] = "1h",  # type: ignore[assignment]  # typer parses the default as if it had been typed
) -> None:
    """Print a bearer token for the API, signed with MBUS_JWT_SECRET.

    A tenant's slug is looked up in MBUS_DATABASE_URL; its UUID is taken as it is. Nobody can take a token back before
    it expires. Where the services read MBUS_JWT_JWKS_URL, tokens come from that issuer and not from here.
    """
    settings = load(SigningSettings)
    scopes = [name for given in scope for name in given.split()]
    unknown = [name for name in scopes if name not in SCOPES]
    if unknown or not scopes:
        raise typer.BadParameter(f"{' '.join(scope)!r} is not made of {', '.join(SCOPES)}", param_hint="--scope")
    if expires > LONGEST:
        raise typer.BadParameter(f"is longer than {LONGEST.days}d", param_hint="--expires")
    token = issue_token(
        secret=settings.jwt_secret.get_secret_value(),
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
        subject=subject,
        tenant_id=_tenant_id(tenant),
        scopes=scopes,
        now=utc_now(),
        lifetime=expires,
        property_ids=property_ids or None,
    )
    print(token)


def _tenant_id(tenant: str) -> UUID:
    try:
        return UUID(tenant)
    except ValueError:
        return asyncio.run(_look_up(tenant))


async def _look_up(slug: str) -> UUID:
    url = load(DatabaseSettings).database_url.get_secret_value()
    async with open_engine(url, application_name="mbus-cli") as engine, engine.connect() as connection:
        return await find_tenant(connection, slug)
