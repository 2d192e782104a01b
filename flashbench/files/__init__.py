"""Files: atomic writes, folder locks, content hashes, videos."""
