"""The rules of alerts, without any I/O: subjects with their facts, kinds of conditions, channels, and the tracker.

A rule has checks. A check is a condition over the facts of one subject, such as each target. It is evaluated for each
row: the facts of one target at one time. The tracker turns the results into alerts that fire and end.
"""
