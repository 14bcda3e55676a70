"""What is worked out of what was read: pure, of neither database nor HTTP."""
