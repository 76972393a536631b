"""Networks that generate parameters, images or features, and their critics."""
