"""The modules of train_demo.py: composing, rendering, mixing, training."""
