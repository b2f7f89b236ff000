"""Sources of the filters that come with edge, and the program that builds them."""
