"""Where clusters' endpoints are, and whether they are well: DNS and active health checks.

All of it happens in the supervisor; workers are told addresses and states, and never resolve.
"""
