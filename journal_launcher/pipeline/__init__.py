"""What wraps launches: comparing model types, health, the skip registry."""
