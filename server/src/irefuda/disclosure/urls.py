"""The portal's addresses on the contractors' site, and the front page of the public's."""

from django.urls import path

from irefuda.disclosure import public_views, supplier_views

TEXT_PAGES = ("tenders", "practice", "helpdesk", "accessibility")

supplier = [
    path("", supplier_views.portal, name="portal"),
    path("announcements/", supplier_views.announcements, name="portal-announcements"),
    path("announcements/feed.atom", supplier_views.feed, name="portal-feed"),
    path("announcements/<uuid:announcement_id>/", supplier_views.announcement, name="portal-announcement"),
    path("bidding/", supplier_views.bidding, name="portal-bidding"),
    path("lottery/", supplier_views.lottery, name="portal-lottery"),
    path("guide/", supplier_views.guide, name="portal-guide"),
    path("guide/<int:number>/", supplier_views.guide_chapter, name="portal-chapter"),
    path("guide/manual/", supplier_views.manual, name="portal-manual"),
    path("guide/manual/all/", supplier_views.manual_all, name="portal-manual-all"),
    path("guide/manual/manual.pdf", supplier_views.manual_pdf, name="portal-manual-pdf"),
    path("guide/manual/<slug:slug>/", supplier_views.manual_section, name="portal-manual-section"),
    path("sections/<slug:slug>/", supplier_views.sections, name="sections"),
    path("faq/", supplier_views.faq, name="portal-faq"),
    path("messages/", supplier_views.messages, name="portal-messages"),
    path("privacy/", supplier_views.privacy, name="portal-privacy"),
    path("changed/", supplier_views.changed, name="portal-changed"),
    *[path(f"{name}/", supplier_views.page, {"name": name}, name=f"portal-{name}") for name in TEXT_PAGES],
]
public = [path("", public_views.front, name="public-front")]
