"""The fused_depth node."""
