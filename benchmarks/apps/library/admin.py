"""The models in Django's admin: which columns, searches and filters each list has."""

from django.contrib import admin

from library import models


def show(model: type, columns: str, search: str, filters: str) -> None:
    options = {
        "list_display": columns.split(),
        "search_fields": search.split(),
        "list_filter": filters.split(),
        "list_per_page": 12,
    }
    admin.site.register(model, type(f"{model.__name__}Admin", (admin.ModelAdmin,), options))


show(models.Author, "name country born active", "name email", "country active")
show(models.Publisher, "name city phone", "name city", "")
show(models.Branch, "name city street wheelchair_access", "name city street", "wheelchair_access")
show(models.Supplier, "name contact_person rating trusted", "name contact_person", "trusted rating")
show(models.Book, "title author genre year in_stock", "title author__name", "genre in_stock")
show(models.Member, "name email plan joined", "name email", "plan newsletter")
show(models.Loan, "book member due returned", "book__title member__name", "returned")
show(models.Review, "headline book stars approved", "headline", "approved stars")
show(models.Event, "title branch day state", "title", "state free_entry")
show(models.Room, "name branch floor seats equipment", "name", "equipment branch")
