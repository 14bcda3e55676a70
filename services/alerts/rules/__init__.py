"""The rules of silence, pure: they know neither broker nor database, and take their clock."""
