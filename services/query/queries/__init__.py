"""What is read from the database, one subject a module, and the shapes that it is answered in."""
