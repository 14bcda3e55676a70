"""Webhooks: one alert event is posted to a customer's URL, signed, and never into our own network."""
