"""`python -m services.ingest` runs the service."""

from services.ingest.main import create_app
from services.ingest.settings import IngestSettings
from shared.http.serve import run_service

if __name__ == "__main__":
    run_service(IngestSettings, create_app, name="mbus-ingest")
