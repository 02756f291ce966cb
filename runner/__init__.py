"""runner: declarative YAML pipelines for servers with no internet."""

__version__ = "0.1.0"
