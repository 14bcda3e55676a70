"""What every HTTP face of the back end has in common."""
