"""Real frames with a depth reference from LiDAR or stereo: how far a model carries over. Never for training."""
