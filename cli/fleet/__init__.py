"""A simulated fleet of gateways and meters, apart from broker and database: the same seed gives the same readings."""
