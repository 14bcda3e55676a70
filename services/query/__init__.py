"""The query service: pages of readings, installations and properties, each caller's own tenant only."""
