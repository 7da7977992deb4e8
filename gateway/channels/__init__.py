"""The ways out: each link claims, sends and reports for the routes that it serves."""
