"""What people look at of healthcare."""
