"""HTTP in and out: one module a group of routes, one for the shape of errors, one for passing answers through."""
