"""What the service answers over HTTP: its metrics, and what would be. All of it in a process of its own."""
