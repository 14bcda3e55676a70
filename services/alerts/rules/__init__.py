"""The rules of silence and of sending again, pure: they know neither broker nor database, and take their clock."""
