"""The values of the domain: frozen data that every other package uses. This package imports none of the others and does
no I/O."""
