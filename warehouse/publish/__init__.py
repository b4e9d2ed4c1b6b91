"""Two generations and their exchange; who reads what of them."""
