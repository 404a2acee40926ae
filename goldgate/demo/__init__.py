"""The demo: the whole story on made material, with simulated vendors, and no network."""
