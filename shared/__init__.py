"""What more than one program of the gateway back end shares."""
