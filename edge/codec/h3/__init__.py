"""HTTP/3 on QUIC: strict in what is read, bounded in what is kept. Spec: RFC 9114, 9000, 9204, 9220."""
