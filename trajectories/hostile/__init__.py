"""Pages and inputs that try to turn the team against the person it works for."""
