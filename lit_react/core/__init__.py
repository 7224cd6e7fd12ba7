"""What all rooms stand on: errors, files, processes, bounds."""
