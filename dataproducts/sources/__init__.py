"""What lies outside all products, found and read as declared; it must not know products."""
