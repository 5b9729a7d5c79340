"""EnginePools: what is made for one, how many engines it has, and which of them drain."""
