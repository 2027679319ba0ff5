"""Side-by-side measurement of sidecar proxies: what each spends on the same work."""
