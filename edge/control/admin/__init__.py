"""The admin API: read-only, loopback only, served beside the workers and never by them."""

from edge.control.admin.app import AdminApp, AdminSource

__all__ = ["AdminApp", "AdminSource"]
