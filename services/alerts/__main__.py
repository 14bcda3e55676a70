"""`python -m services.alerts` runs the service."""

from services.alerts.main import create_app
from services.alerts.settings import AlertsSettings
from shared.http.serve import run_service

if __name__ == "__main__":
    run_service(AlertsSettings, create_app, name="mbus-alerts")
