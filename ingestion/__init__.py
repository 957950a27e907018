"""What happened: everything that produces events, and the one shape they share."""
