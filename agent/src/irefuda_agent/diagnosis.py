"""`irefuda-card check` and `irefuda-card list`: what is there and what is missing, each with what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irefuda_agent.cards import Cards, fault_refusal
from irefuda_agent.ports import holder_of
from irefuda_agent.settings import Module, Settings

GOOD, NOTE, BAD = "○", "△", "×"
SOON_DAYS = 60


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the diagnosis; `remedy` is what the person can do about it."""

    mark: str
    about: str
    says: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.mark} {self.about}：{self.says}"
        return f"{line}\n　　→ {self.remedy}" if self.remedy else line


async def diagnose(path: Path, settings: Settings, cards: Cards) -> list[Finding]:
    """Return every finding, in the order in which one thing needs the other."""
    findings = about_settings(path, settings) + about_ports({port: holder_of(port) for port in settings.ports})
    look = await cards.look()
    return findings + about_cards(settings.modules, look, await cards.readers())


def about_settings(path: Path, settings: Settings) -> list[Finding]:
    """Return what the settings file says, and what it leaves open."""
    findings = [Finding(GOOD, "設定ファイル", f"読み取れました（{path}）。")]
    if settings.sites:
        findings += [Finding(GOOD, "サイト", f"{site.name}（{site.origin}）") for site in settings.sites]
    else:
        findings.append(
            Finding(BAD, "サイト", "登録されていません。", "「irefuda-card settings」でサイトを追加してください。")
        )
    if settings.passphrase:
        findings.append(Finding(GOOD, "合言葉", "決められています。"))
    else:
        remedy = "「irefuda-card settings」で、自分だけが知っている言葉を決めてください。偽の画面を見分けられます。"
        findings.append(Finding(NOTE, "合言葉", "まだ決められていません。", remedy))
    return findings


def about_ports(holders: Mapping[int, str]) -> list[Finding]:
    """Return who holds each port of the settings, and whether the program runs."""
    findings = []
    for port, holder in holders.items():
        match holder:
            case "us":
                findings.append(Finding(GOOD, f"ポート{port}", "補助アプリが動いています。"))
            case "nobody":
                findings.append(Finding(GOOD, f"ポート{port}", "空いています。"))
            case _:
                findings.append(Finding(NOTE, f"ポート{port}", "ほかのプログラムが使っています。"))
    if "us" not in holders.values():
        if "nobody" in holders.values():
            findings.append(
                Finding(NOTE, "補助アプリ", "起動していません。", "「irefuda-card serve」で起動してください。")
            )
        else:
            remedy = "使っているプログラムを終わらせるか、設定ファイルの ports を別の番号にし、サイトの管理者に知らせてください。"
            findings.append(Finding(BAD, "補助アプリ", "使えるポートがないため、起動できません。", remedy))
    return findings


def about_cards(modules: Sequence[Module], look: Mapping[str, Any], readers: list[str] | None) -> list[Finding]:
    """Return what the modules, the system's reader service and the cards say."""
    findings = [] if modules else [_refused(BAD, "ICカード用のソフト", "module_missing")]
    faults = {fault["module"]: fault for fault in look["faults"] if "module" in fault}
    for module in modules:
        if fault := faults.get(module.name):
            says = f"{fault['sentence']}（{fault['code']}、{module.path}）"
            findings.append(Finding(BAD, module.name, says, fault["remedy"]))
        else:
            findings.append(Finding(GOOD, module.name, f"読み込めました（{module.path}）。"))
    cards = look["cards"]
    # A token in software needs neither service nor reader: without them the cards that show decide.
    missing = NOTE if cards else BAD
    if readers is None:
        findings.append(_refused(missing, "ICカードのサービス", "no_reader_service"))
    elif not readers:
        findings += [Finding(GOOD, "ICカードのサービス", "動いています。"), _refused(missing, "リーダー", "no_reader")]
    else:
        findings.append(Finding(GOOD, "ICカードのサービス", "動いています。"))
        findings += [Finding(GOOD, "リーダー", reader) for reader in readers]
    if not cards:
        findings.append(_refused(BAD, "ICカード", "no_card"))
    usable = any(card["choosable"] for card in cards)
    return findings + [_about_card(card, NOTE if usable else BAD) for card in cards]


def _refused(mark: str, about: str, name: str) -> Finding:
    reason = fault_refusal(name)
    return Finding(mark, about, f"{reason.sentence}（{reason.code}）", reason.remedy)


def _about_card(card: Mapping[str, Any], mark_if_unusable: str) -> Finding:
    about, who = "ICカード", in_words(card)
    if not card["choosable"]:
        return Finding(mark_if_unusable, about, f"{who}　{card['note']}", "認証局に問い合わせるか、別のICカードを使ってください。")  # fmt: skip
    if card["final_try"] or card["few_tries"]:
        reason = fault_refusal("pin_final_try" if card["final_try"] else "pin_few_tries")
        return Finding(NOTE, about, f"{who}　{reason.sentence}", reason.remedy)
    if card.get("days_left", SOON_DAYS) < SOON_DAYS:
        remedy = "認証局で新しいICカードを取得し、有効期限が切れる前に「ICカード更新」をしてください。"
        return Finding(NOTE, about, f"{who}　有効期限まであと{card['days_left']}日です。", remedy)
    return Finding(GOOD, about, f"{who}{'　' + card['note'] if card['note'] else ''}")


def in_words(card: Mapping[str, Any]) -> str:
    """Return a card in one line: whose it is, until when, and where it is inserted."""
    if "company_name" not in card:
        return f"{card['label'] or 'カード'}（リーダー：{card['reader']}）"
    names = f"{card['company_name']}　{card['holder_name']}"
    return f"{names}（認証局：{card['issuer']}、有効期限：{card['expires_on']}、リーダー：{card['reader']}）"


def listed(look: Mapping[str, Any]) -> list[str]:
    """Return the lines of `irefuda-card list`: every card, then what stands in the way."""
    lines = [f"{number}. {in_words(card)}{'　' + card['note'] if card['note'] else ''}" for number, card in enumerate(look["cards"], 1)]  # fmt: skip
    return lines + [f"{fault['sentence']}（{fault['code']}）\n　　→ {fault['remedy']}" for fault in look["faults"]]
