"""The service under fire: jobs go in while a monkey kills what serves them."""
