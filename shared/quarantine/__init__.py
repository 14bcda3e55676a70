"""What may be done with quarantined readings: find, replay and discard them."""
