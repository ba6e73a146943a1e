from django.apps import AppConfig


class UiConfig(AppConfig):
    name = "irefuda.ui"
    label = "ui"
