"""The three services; each stands alone and imports only `shared`."""
