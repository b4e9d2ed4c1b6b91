"""The site: what is in the warehouse, what it means, how it runs. One folder, which needs no server."""
