"""Who may do what, and what a caller may learn."""
