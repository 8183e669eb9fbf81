"""The console: pages for operators, served by Flask under gunicorn; works without script."""
