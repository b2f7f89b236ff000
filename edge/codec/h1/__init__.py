"""HTTP/1.1 and 1.0: strict in what is read, own framing in what is written. Spec: RFC 9112."""
