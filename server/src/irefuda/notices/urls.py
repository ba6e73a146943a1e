"""Pages of the notices on the contractors' site."""

from django.urls import path

from irefuda.notices import supplier_views

urlpatterns = [
    path("practice/mail/", supplier_views.practice_mails, name="practice-mails"),
    path("practice/mail/<int:number>/", supplier_views.practice_mail, name="practice-mail"),
]
