"""A public library as a Django application: models and nothing else; the pages are Django's own admin."""
