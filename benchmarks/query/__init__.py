"""`mbus bench query`: a page of readings by the real service, beside the common way, the floor, and nothing at all."""
