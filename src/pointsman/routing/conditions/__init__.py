"""Conditions: expressions in CEL over typed facts of a request.

`facts` has the variables, `references` replaces maps by plain variables, and `programs` compiles and evaluates.
"""
