"""One module a question: its points, its pictures and its tables. Each gives its section, or None without points."""
