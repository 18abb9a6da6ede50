"""Text to image and image to image by diffusion: requests in, arrays out."""
