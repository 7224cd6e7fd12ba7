"""What runs are for: their models at work."""
