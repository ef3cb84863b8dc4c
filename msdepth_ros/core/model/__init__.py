"""The depth network: its file, what it runs on, and what it gives."""
