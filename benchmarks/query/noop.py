"""`python -m benchmarks.query.noop`: an endpoint that does nothing but answer as many bytes as a page has.

How fast the client drives it is how fast the client can be.
"""

from fastapi import FastAPI, Response

from benchmarks.query.anchor import anchor_settings, serve_anchor

ANSWER = b" " * 20_000


def create_app() -> FastAPI:
    """The application."""
    app = FastAPI()

    @app.get("/readings")
    async def list_readings() -> Response:
        return Response(ANSWER, media_type="application/json")

    return app


if __name__ == "__main__":
    serve_anchor(create_app(), anchor_settings())
