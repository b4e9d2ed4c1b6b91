"""What people look at of commerce."""
