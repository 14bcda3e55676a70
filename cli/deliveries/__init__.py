"""`mbus delivery`: what was sent to subscriptions, and sending it again."""
