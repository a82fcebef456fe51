"""What is known between passes."""
