"""`msdepth inject`: camera topics that fail on purpose."""
