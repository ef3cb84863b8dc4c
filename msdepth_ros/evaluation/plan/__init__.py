"""Which images form a set, and which of them are used: decided before anything is computed."""
