"""The table of results: what is measured, how it is added up, and the page that shows it."""
