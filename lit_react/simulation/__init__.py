"""Simulated annotation: the environment in which acquisition policies are trained and compared."""
