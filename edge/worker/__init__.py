"""The worker process: one event loop that serves requests by the model it was given."""
