"""Images from texts, and from texts and images."""
