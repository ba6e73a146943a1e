"""Compute the ledger again from its documents, and name every row that differs."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import module_has_submodule

from irefuda.ledger import audit, locks
from irefuda.ui import clock


class Command(BaseCommand):
    help = "Check every entry, place, subtree and signed head, and every deed against its entry; exit code 1 if one differs."

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        with locks.still_picture():
            self.stdout.write(f"台帳を文書から計算し直しています（{audit.sizes()}）。")
            for finding in _findings():
                count += 1
                self.stdout.write(str(finding))
        if count:
            raise CommandError(
                f"{count} 件の食い違いがあります。データベースをこのまま保存し、セキュリティの担当者に連絡してください。"
            )
        self.stdout.write("食い違いはありません。")


def _findings() -> Iterator[audit.Finding]:
    """Ask every slice that has an `audit` module: those above the ledger know which deed belongs to which entry."""
    for app in apps.get_app_configs():
        if module_has_submodule(app.module, "audit"):
            yield from import_module(f"{app.name}.audit").findings(clock.now())
