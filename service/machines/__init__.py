"""Machine endpoints: health probes and metrics."""
