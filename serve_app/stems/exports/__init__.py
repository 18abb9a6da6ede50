"""What is known of a song, written in the forms that DJ programs read."""
