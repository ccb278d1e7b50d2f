"""The front ends of the service, side by side, and what they share."""
