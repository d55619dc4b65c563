"""The batching engine and its models. Knows no queue: imports no celery and no redis."""
