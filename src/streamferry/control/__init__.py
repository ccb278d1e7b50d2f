"""The control plane: which tasks exist, what they shall do and when, and the ways to say so."""
