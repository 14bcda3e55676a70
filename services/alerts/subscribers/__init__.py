"""Sends what waits in `delivery` to subscriptions: by webhook and by mail."""
