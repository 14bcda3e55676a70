"""What the tests share: servers, databases, vhosts, the registry's rows."""
