"""Runs a simulated fleet: registers it, sends what its gateways would send, and checks what arrived."""
