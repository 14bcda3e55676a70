"""`GET /readings/export`."""

from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from services.query.api.reading_parameters import After, Before, OfInstallation, OfMedium, OfProperty, OfUnit
from services.query.database import QueryDatabase
from services.query.queries.export import Exports, Period, choose_installations
from services.query.queries.export_forms import COLUMNS, CSV, CSV_WITH_DECIMAL_COMMA, NDJSON, Form
from services.query.queries.readings import Selection
from shared.clock import Clock
from shared.http.authentication import Authenticate
from shared.http.fields import INSTALLATION_EXAMPLE
from shared.http.problems import BadFieldsError, FieldError, ProblemError, problems
from shared.http.streams import StreamedAnswer, accepts_gzip
from shared.http.tokens import Caller

DESCRIPTION = """\
All of them, as one file, however large it is: by property, unit, serial, and then by time, the oldest first; of more
than 100 installations month by month (UTC), and so within each month. Without a filter these are all readings that the
token may see. Values of one filter add up; each filter more narrows. Of meters that were taken down too. One
`installation_id` and no other filter is a 404 when it is not there.

**CSV** is for spreadsheets and data frames: UTF-8 with a byte order mark, a header, CRLF, times in UTC. A text that a
spreadsheet would take for a formula has an apostrophe before it. **NDJSON** is one object a line, with texts as they
are.

It is gzip where `Accept-Encoding` asks for it. An answer that breaks off is not whole, and its connection ends without
the end of the body: your HTTP client reports that. What is stored while it runs may be in it or not."""

CSV_EXAMPLE = (
    f"{','.join(COLUMNS)}\r\n"
    f'{INSTALLATION_EXAMPLE},"71440145",heat,kWh,"Havnegade 12","1. tv",'
    "2026-11-01T05:00:00Z,1234.567,-71,96,2026-11-01T05:00:12.504Z\r\n"
)
NDJSON_EXAMPLE = (
    f'{{"meter_installation_id":"{INSTALLATION_EXAMPLE}","meter_serial":"71440145","medium":"heat",'
    '"unit_of_measure":"kWh","property_name":"Havnegade 12","unit_label":"1. tv","timestamp":"2026-11-01T05:00:00Z",'
    '"value":1234.567,"rssi_dbm":-71,"battery_level_pct":96,"received_at":"2026-11-01T05:00:12.504Z"}\n'
)
FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": CSV_EXAMPLE},
            "application/x-ndjson": {"schema": {"type": "string"}, "example": NDJSON_EXAMPLE},
        },
        "headers": {
            "Content-Disposition": {
                "description": "A name for the file.",
                "required": True,
                "schema": {"type": "string"},
                "example": 'attachment; filename="readings.csv"',
            }
        },
    }
}


class ExportFormat(StrEnum):
    """What kind of file an export is."""

    CSV = "csv"
    NDJSON = "ndjson"


class Decimal(StrEnum):
    """What stands before the decimals of a number."""

    POINT = "point"
    COMMA = "comma"


def export_router(database: QueryDatabase, reader: Authenticate, *, clock: Clock) -> APIRouter:
    """The route of exports; `reader` is the caller that may read them, `clock` says up to when there are readings."""
    router = APIRouter(tags=["readings"])
    exports = Exports(database, clock=clock)

    @router.get(
        "/readings/export",
        summary="All readings as a file",
        description=DESCRIPTION,
        response_class=Response,
        responses={**FILE, **problems(404, missing="installation")},
    )
    async def export_readings(
        *,
        request: Request,
        caller: Annotated[Caller, Depends(reader)],
        file_format: Annotated[
            ExportFormat, Query(alias="format", description="`csv`: a table; `ndjson`: JSON, one object a line.")
        ] = ExportFormat.CSV,
        decimal: Annotated[
            Decimal,
            Query(
                description="Of `csv`: `comma` is for spreadsheets of countries that write so; cells then end in `;`."
            ),
        ] = Decimal.POINT,
        installation_id: OfInstallation = (),
        property_id: OfProperty = (),
        unit_id: OfUnit = (),
        medium: OfMedium = (),
        after: After = None,
        before: Before = None,
    ) -> Response:
        form = _form(file_format, decimal)
        selection = Selection(installation_id, property_id, unit_id, medium)
        period = Period(after, before)
        chosen = await choose_installations(database, reach=caller.reach, selection=selection, period=period)
        if chosen is None:
            raise ProblemError(404, "No such installation.")
        return StreamedAnswer(
            exports.pieces(caller.reach, chosen, period, form),
            media_type=form.media_type,
            headers={"Content-Disposition": f'attachment; filename="readings.{form.suffix}"'},
            gzip=accepts_gzip(request.headers.get("accept-encoding", "")),
        )

    return router


def _form(file_format: ExportFormat, decimal: Decimal) -> Form:
    match file_format:
        case ExportFormat.CSV:
            return CSV if decimal is Decimal.POINT else CSV_WITH_DECIMAL_COMMA
        case ExportFormat.NDJSON:
            if decimal is Decimal.COMMA:
                raise BadFieldsError([FieldError("query", "decimal", "comma is of format=csv only: JSON has points")])
            return NDJSON
