"""`/openapi.json` and `/docs`: the API to read and to try out.

The page's scripts are this service's own, because people paste their tokens into it.
"""

from collections.abc import Callable
from importlib.resources import files
from types import MappingProxyType

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse

FILES = MappingProxyType(
    {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon.png": "image/png"}
)

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
"""Nothing is loaded from anywhere else, and nothing sent there. The page starts itself by a script within it."""


def docs_router(title: str, document: Callable[[str], bytes]) -> APIRouter:
    """The page, its three files, which are those of the package fastapi-offline, and what `document` gives for it.

    `document` is asked with the path that the service is met under, without a slash at its end.
    """
    router = APIRouter(include_in_schema=False)
    folder = files("fastapi_offline") / "static"

    @router.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        return Response(document(_root_of(request)), media_type="application/json")

    @router.get("/docs")
    async def docs(request: Request) -> Response:
        root = _root_of(request)
        page = get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json",
            title=title,
            swagger_js_url=f"{root}/docs/swagger-ui-bundle.js",
            swagger_css_url=f"{root}/docs/swagger-ui.css",
            swagger_favicon_url=f"{root}/docs/favicon.png",
        )
        page.headers["Content-Security-Policy"] = POLICY
        return page

    @router.get("/docs/{name}")
    async def docs_file(name: str) -> Response:
        if name not in FILES:
            raise HTTPException(404)
        return FileResponse(str(folder / name), media_type=FILES[name], headers={"Cache-Control": "max-age=86400"})

    return router


def _root_of(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")
