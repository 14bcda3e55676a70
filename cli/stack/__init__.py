"""The stack on this machine: its servers and services, started in the background and stopped again."""
