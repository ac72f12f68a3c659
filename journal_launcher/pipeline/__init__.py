"""What wraps launches: comparing model types."""
