"""`edge demo`: two shops, three filters, a local CA, and a tour in curl lines. Nothing to set up."""
