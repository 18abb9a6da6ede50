"""What a network computes with: one module for each runtime, and who chooses."""
