"""Scripted ends of a relay on real sockets: a camera's tags, sources that serve them, destinations that misbehave."""
