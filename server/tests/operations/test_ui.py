"""The shared parts of every page: reason page, error pages, fields, the error summary."""

from datetime import UTC, datetime

import pytest
from django import forms
from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.views.csrf import csrf_failure

from irefuda.ui.pages import bad_request, refusal_page, server_error
from irefuda.ui.spreadsheets import harmless
from irefuda.ui.templatetags.ui_parts import clock_shown
from irefuda_core.refusal import refusal

pytestmark = pytest.mark.usefixtures("static_files")


class Person(forms.Form):
    name = forms.CharField(label="氏名", help_text="20文字。", error_messages={"required": "氏名を入力してください。"})
    note = forms.CharField(label="備考", required=False)


class Promise(forms.Form):
    agreed = forms.BooleanField(
        label="確かめた", help_text="印を付けます。", error_messages={"required": "確かめてください。"}
    )


@pytest.fixture
def request_of_page(rf: RequestFactory) -> HttpRequest:
    return rf.get("/")


def test_a_field_has_its_label_above_its_rule_before_it_and_no_placeholder() -> None:
    shown = str(Person()["name"].as_field_group())
    assert shown.index("<label") < shown.index("20文字。") < shown.index("<input")
    assert 'aria-describedby="id_name_helptext"' in shown
    assert "※必須" in shown
    assert "placeholder" not in shown
    assert "※必須" not in str(Person()["note"].as_field_group())


def test_an_error_is_linked_to_its_field_and_keeps_what_was_typed() -> None:
    form = Person({"name": "", "note": "青森 <b>"})
    shown = str(form["name"].as_field_group())
    assert 'aria-describedby="id_name_helptext id_name_error"' in shown
    assert 'aria-invalid="true"' in shown
    assert '<div class="field-errors" id="id_name_error"><p>＊氏名を入力してください。</p>' in shown
    assert 'value="青森 &lt;b&gt;"' in str(form["note"].as_field_group())


def test_a_box_has_its_name_beside_it_and_its_error_before_it() -> None:
    shown = str(Promise({})["agreed"].as_field_group())
    order = ["＊確かめてください。", 'type="checkbox"', '<label for="id_agreed">確かめた', "※必須", "印を付けます。"]
    places = [shown.index(part) for part in order]
    assert places == sorted(places)
    assert 'aria-describedby="id_agreed_helptext id_agreed_error"' in shown
    assert 'id="id_agreed_helptext"' in shown


def test_the_error_summary_takes_the_focus_and_leads_to_the_field() -> None:
    shown = render_to_string("ui/error_summary.html", {"forms_with_errors": Person({}), "reasons": [refusal("R-102")]})
    assert "autofocus" in shown
    assert '<a href="#id_name">氏名を入力してください。</a>' in shown
    assert "R-102" in shown


@pytest.mark.django_db
def test_an_address_with_far_too_much_in_it_breaks_no_page(client: Client, rf: RequestFactory) -> None:
    address = "/?" + "a&" * 2000
    for answer in (client.get(address), bad_request(rf.get(address), TooManyFieldsSent())):
        assert answer.status_code == 413
        assert "P-807" in answer.content.decode()


def test_there_is_no_error_summary_without_errors() -> None:
    assert render_to_string("ui/error_summary.html", {"forms_with_errors": Person({"name": "森"})}).strip() == ""


def test_a_reason_page_names_reason_code_next_step_and_help_desk(request_of_page: HttpRequest) -> None:
    reason = refusal("R-105")
    response = refusal_page(request_of_page, [reason], back_url="/9991/works/", back_label="メニューへ戻る")
    page = response.content.decode()
    assert response.status_code == 403
    for words in (reason.sentence, reason.remedy, "R-105", "ヘルプデスク", 'href="/9991/works/"', "メニューへ戻る"):
        assert words in page


@pytest.mark.django_db
def test_an_unknown_address_is_answered_in_the_site_s_look(client: Client) -> None:
    response = client.get("/no-such-page/")
    assert response.status_code == 404
    assert "ページが見つかりません" in response.content.decode()
    assert "現在の位置" in response.content.decode()


def test_error_pages_ask_nothing_of_the_database(request_of_page: HttpRequest) -> None:
    assert "システムに不具合が起きました" in server_error(request_of_page).content.decode()
    assert "受け取れない内容でした" in bad_request(request_of_page, ValueError()).content.decode()


def test_a_form_of_another_site_is_refused_in_the_site_s_look(request_of_page: HttpRequest) -> None:
    response = csrf_failure(request_of_page)
    assert response.status_code == 403
    assert "画面の有効期限が切れました" in response.content.decode()


@pytest.mark.parametrize(("step", "position"), [(1, "4段階のうち1段階目"), (4, "4段階のうち4段階目")])
def test_steps_say_where_one_is(step: int, position: str) -> None:
    shown = render_to_string("ui/steps.html", {"step": step})
    assert position in shown
    assert shown.count('aria-current="step"') == 1
    assert shown.count("（済み）") == step - 1


def test_the_practice_realm_says_so_on_every_page(request_of_page: HttpRequest) -> None:
    assert "practice-banner" in server_error(request_of_page).content.decode()


def test_the_clock_of_a_page_is_the_server_s_in_japan_s_time() -> None:
    at = datetime(2026, 11, 24, 15, 4, 5, 678901, tzinfo=UTC)
    assert clock_shown(at) == (
        '<time datetime="2026-11-25T00:04:05.678901+09:00" data-clock>2026年11月25日00時04分</time>'
    )


def test_no_cell_of_a_file_is_computed_by_a_spreadsheet():
    for begins in "=+-@＝＋－＠\t\r":
        assert harmless(f"{begins}1") == f"'{begins}1"
    for cell in ("株式会社", "1-2", "", 5, -5):
        assert harmless(cell) == cell
