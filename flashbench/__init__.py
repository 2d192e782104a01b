"""FlashBench: what trajectory-controllable video models are asked, and how their answers are scored."""

__version__ = "0.1.0"
