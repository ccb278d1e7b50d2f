"""The engine over the store: what may be done with tasks, when they are due, what is told of them."""
