"""What every process of the backend needs: settings, logs, figures, backoff, proxies."""
