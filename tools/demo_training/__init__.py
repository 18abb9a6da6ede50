"""What train_demo.py is made of: composing, rendering, mixing, training."""
