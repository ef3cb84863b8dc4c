"""Groups the images of several cameras into sets that belong to one instant."""
