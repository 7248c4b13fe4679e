"""What is loaded, and what is missing."""
