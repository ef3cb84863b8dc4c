"""`msdepth info`: what is in a recording, and whether it can be evaluated."""
