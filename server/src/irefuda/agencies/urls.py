"""How addresses name a 調達機関 and its 区分: `/<調達機関>/<works|goods>/…`."""

from django.urls import register_converter

from irefuda.agencies.models import Category


class AgencyCode:
    """The four digits of a 調達機関."""

    regex = "[0-9]{4}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class CategorySlug:
    """`works` or `goods` in the address, the category in the code."""

    regex = "works|goods"

    def to_python(self, value: str) -> Category:
        return next(category for category in Category if category.slug == value)

    def to_url(self, value: str) -> str:
        return Category(value).slug


register_converter(AgencyCode, "agency")
register_converter(CategorySlug, "category")

AGENCY = "<agency:agency>/"
SECTION = "<agency:agency>/<category:category>/"
