"""HTTP/2 from clients: an engine that speaks frames, and a server that turns streams into exchanges."""
