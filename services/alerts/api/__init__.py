"""The routes, one subject a module: they parse, make one call, and answer."""
