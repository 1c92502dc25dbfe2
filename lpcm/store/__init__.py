"""What is kept on disk: digests of files, feature blocks, results. Everything is written atomically."""
