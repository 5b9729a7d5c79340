"""Programs and engine pools as Kubernetes objects."""
