"""Fixed exchanges and their exact bytes."""
