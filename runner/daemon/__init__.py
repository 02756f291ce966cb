"""What a daemon adds to the engine: time, the pipelines folder, a long life. `loop.py` puts the parts together."""
