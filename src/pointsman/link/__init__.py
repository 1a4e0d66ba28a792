"""The connection between a worker and the control process: frames over a Unix socket."""
