"""`python -m services.alerts` runs the service."""

from services.alerts.main import create_app
from services.alerts.settings import AlertsSettings
from shared.http.serve import run_service
from shared.open_files import allow_open_files

if __name__ == "__main__":
    # Hundreds of endpoints are called at the same time, and streams are open.
    allow_open_files()
    run_service(AlertsSettings, create_app, name="mbus-alerts")
