"""What readers ask of what is published: queries, metrics, files, docs."""
