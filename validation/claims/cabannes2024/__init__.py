"""Claims of Cabannes, Simsek, Bietti 2024, Learning Associative Memories with Gradient Descent."""
