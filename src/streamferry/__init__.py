"""streamferry: a pull-to-push relay for live streams and VOD lists."""

__version__ = "0.1.0"
