"""The gateway against programs that others wrote: `make interop`."""
