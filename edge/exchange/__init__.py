"""One request and its response: what is known, measured and still open. Sans-io."""
