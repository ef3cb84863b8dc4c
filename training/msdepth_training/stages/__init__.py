"""The two stages of training, align and fuse, on PyTorch Lightning."""
