"""Pictures: pure functions from data to SVG."""
