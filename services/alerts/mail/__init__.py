"""Mail of alerts: what it says in the reader's language, how it is composed, and how one is sent. No table, no loop."""
