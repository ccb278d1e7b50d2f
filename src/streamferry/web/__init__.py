"""The front ends of the service, side by side, and beside them what they share."""
