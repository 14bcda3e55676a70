"""The rules for tenants, properties, units, gateways and meter installations, and how they are registered."""
