"""What a launch is asked to do, and how a user says it."""
