"""What wraps a launch: comparing model types, health, the skip registry."""
