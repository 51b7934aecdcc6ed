"""What passes between storage and everything above: recorder, feed, view."""
