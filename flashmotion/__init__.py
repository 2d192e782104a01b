"""FlashMotion: few-step trajectory-controllable video generation in three stages (arXiv 2603.12146)."""
