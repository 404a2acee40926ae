"""The Ray Serve application and the clients that speak to it."""
