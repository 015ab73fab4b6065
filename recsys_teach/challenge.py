"""Floor 3: the closing challenge."""
