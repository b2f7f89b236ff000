"""The control plane: supervisor, configuration, modules, admin. The data plane never imports it."""
