"""What a run gave, set by set and in sum: as records, as files, and one run against another."""
