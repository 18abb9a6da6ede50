"""What requests that may be sent twice were answered."""
