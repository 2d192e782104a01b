"""One training method a file, named after what it makes."""
