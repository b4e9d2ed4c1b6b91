"""What Granary costs, measured against what the engines themselves do with the same data."""
