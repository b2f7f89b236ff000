"""ABI hosts: guest words to the chain's Filter interface and back."""
