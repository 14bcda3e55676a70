"""`python -m services.query` runs the service."""

from services.query.main import create_app
from services.query.settings import QuerySettings
from shared.http.serve import run_service

if __name__ == "__main__":
    run_service(QuerySettings, create_app, name="mbus-query")
