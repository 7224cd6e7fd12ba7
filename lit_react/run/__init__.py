"""A run: buy, fit, acquire, test, save, until something ends it."""
