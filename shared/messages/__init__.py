"""The contracts between programs: gateway message, readings stored, alert events."""
