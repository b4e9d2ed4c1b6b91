"""Where the warehouse is, who may write to it, and as whom."""
