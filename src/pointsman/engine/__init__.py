"""The engine carries out plans. It is the only package that waits for providers."""
