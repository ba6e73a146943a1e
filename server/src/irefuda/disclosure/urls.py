"""The portal's addresses on the contractors' site, and the front page of the public's."""

from django.urls import path

from irefuda.disclosure import public_views, supplier_views

TEXT_PAGES = ("announcements", "practice", "faq", "helpdesk", "accessibility")

supplier = [
    path("", supplier_views.portal, name="portal"),
    path("news/", supplier_views.news, name="portal-news"),
    path("bidding/", supplier_views.bidding, name="portal-bidding"),
    path("lottery/", supplier_views.lottery, name="portal-lottery"),
    path("guide/", supplier_views.guide, name="portal-guide"),
    path("guide/<int:number>/", supplier_views.guide_chapter, name="portal-chapter"),
    path("sections/<slug:slug>/", supplier_views.sections, name="sections"),
    *[path(f"{name}/", supplier_views.page, {"name": name}, name=f"portal-{name}") for name in TEXT_PAGES],
]
public = [path("", public_views.front, name="public-front")]
