"""A file that nobody asked for: it is neither read nor kept, whoever sends it."""

from __future__ import annotations

import pytest
from django.core.files import uploadedfile

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
ADDRESSES = ("/card/nonce/", "/9992/goods/renewal/begin/", "/environment/certificate/", "/mypage/login/")


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_file_that_is_too_large_is_refused_before_it_is_read(app, city, address, monkeypatch):
    class Unread:
        def read(self, *size: int) -> bytes:
            raise AssertionError("the file was read")

    app.get("/environment/")
    monkeypatch.setitem(app.extra_environ, "wsgi.input", Unread())
    headers = {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(2**30)}
    answer = app.post(address, b"", headers=headers)
    assert answer.status_int == 413
    assert "P-807" in answer


def test_a_small_file_is_dropped_and_the_form_beside_it_is_taken(app, city, monkeypatch):
    def made(*given: object, **named: object) -> None:
        raise AssertionError("a file was made")

    monkeypatch.setattr(uploadedfile, "TemporaryUploadedFile", made)
    token = app.get("/environment/").forms[0]["csrfmiddlewaretoken"].value
    answer = app.post("/card/nonce/", {"csrfmiddlewaretoken": token}, upload_files=[("file", "x.bin", b"\0" * 100_000)])
    assert answer.json["nonce"]
