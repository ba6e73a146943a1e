"""Parts of a page that are rendered once for what they depend on, and addresses that are put together once."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.template import Context, Engine, Origin, TemplateDoesNotExist, TemplateSyntaxError
from django.template.loaders.locmem import Loader
from django.urls import NoReverseMatch, reverse

ENGINE = Engine(
    builtins=["irefuda.ui.templatetags.quick_parts"], libraries={"static": "django.templatetags.static"}, debug=True
)


def rendered(source: str, **values: object) -> str:
    return ENGINE.from_string(source).render(Context(values))


class Counted:
    """A name that counts how often it was written."""

    def __init__(self, name: str) -> None:
        self.name, self.count = name, 0

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Counted) and self.name == other.name

    def __str__(self) -> str:
        self.count += 1
        return self.name


def test_a_part_is_rendered_once_for_each_value():
    template = ENGINE.from_string("{% kept a %}<b>{{ a }}</b>{% endkept %}{{ b }}")
    first, other = Counted("<青森>"), Counted("弘前")
    assert [template.render(Context({"a": first, "b": b})) for b in (1, 2)] == [
        "<b>&lt;青森&gt;</b>1",
        "<b>&lt;青森&gt;</b>2",
    ]
    assert first.count == 1
    assert template.render(Context({"a": other})) == "<b>弘前</b>"
    assert template.render(Context({})) == "<b></b>"


def test_not_more_than_some_are_kept():
    template = ENGINE.from_string("{% kept a %}{{ a }}{% endkept %}")
    for number in range(200):
        assert template.render(Context({"a": number})) == str(number)
    assert len(template.nodelist[0].rendered) <= 64


@pytest.mark.parametrize(
    "part",
    [
        "{{ b }}",
        "{{ a.b }}",
        "{% if b %}x{% endif %}",
        "{% if a == b.c %}x{% endif %}",
        "{% for one in a %}x{% endfor %}",
        "{% csrf_token %}",
        "{% url 'portal' %}",
        "{% include a %}",
        "{{ a|default:b }}",
    ],
)
def test_a_part_that_depends_on_more_than_it_names_is_a_mistake(part):
    with pytest.raises(TemplateSyntaxError, match="does not name"):
        ENGINE.from_string("{% kept a %}" + part + "{% endkept %}")


def test_what_a_part_names_may_stand_in_it():
    source = (
        "{% load static %}{% kept a b.c %}{% if a and not b.c %}x{% else %}'y'{{ b.c }}{% endif %}{% endkept %}{{ d }}"
    )
    assert rendered(source, a=1, b={"c": 0}, d="d") == "xd"
    assert rendered(source, a=1, b={"c": 2}, d="d") == "'y'2d"


def test_an_address_is_django_s_own_and_follows_the_urls_of_the_site(settings):
    source = "{% url 'menu' code place %}"
    settings.ROOT_URLCONF = "irefuda.config.urls_supplier"
    values = {"code": "9992", "place": "1"}
    name = "registration-menu"
    shown = [rendered(source.replace("menu", name, 1), **values) for _ in range(2)]
    assert shown == ["/9992/goods/registration/menu/"] * 2 == [reverse(name, args=["9992", "1"])] * 2
    assert rendered(f"{{% url '{name}' code place as there %}}[{{{{ there }}}}]", **values) == f"[{shown[0]}]"
    settings.ROOT_URLCONF = "irefuda.config.urls_public"
    with pytest.raises(NoReverseMatch):
        rendered(source.replace("menu", name, 1), **values)
    assert rendered(f"{{% url '{name}' code place as there %}}[{{{{ there }}}}]", **values) == "[]"


def test_a_place_is_read_from_whatever_django_reads_it_from(settings):
    settings.ROOT_URLCONF = "irefuda.config.urls_supplier"
    attribute, key = SimpleNamespace(code="9992"), {"code": "9992", "items": "9992"}
    method, listed = SimpleNamespace(code=lambda: "9992"), ["9992"]
    for read, values in (
        ("a.b.code", {"a": SimpleNamespace(b=attribute)}),
        ("a.code", {"a": method}),
        ("a.code", {"a": key}),
        ("a.items", {"a": key}),
        ("a.0", {"a": listed}),
        ("a.b.code", {"a": {"b": attribute}}),
        ("a|slice:':4'", {"a": "99923"}),
        ("'9992'", {}),
    ):
        assert rendered(f"{{% url 'section' {read} '1' %}}", **values) == "/9992/goods/", read
    with pytest.raises(NoReverseMatch):
        rendered("{% url 'section' a.b.code '1' %}", a=attribute)


class Looked(Loader):
    """Templates from a dictionary, which counts how often each was asked for."""

    def __init__(self, engine: Engine, templates: dict[str, str]) -> None:
        super().__init__(engine, templates)
        self.asked: list[str] = []

    def get_template_sources(self, template_name: str) -> Iterator[Origin]:
        self.asked.append(template_name)
        yield from super().get_template_sources(template_name)


def looked_at(**templates: str) -> tuple[Engine, Looked]:
    engine = Engine(builtins=["irefuda.ui.templatetags.quick_parts"], loaders=[])
    loader = Looked(engine, templates)
    engine.template_loaders = [loader]
    return engine, loader


PAGE = "{% block head %}[{{ a }}]{% endblock %}{% block body %}{% endblock %}"


def test_a_parent_is_looked_for_once_and_every_page_keeps_its_own_blocks():
    engine, loader = looked_at(
        page=PAGE,
        section="{% extends 'page' %}{% block body %}<{% block inner %}{% endblock %}>{% endblock %}",
        one="{% extends 'section' %}{% block inner %}1{{ a }}{% endblock %}",
        two="{% extends 'section' %}{% block head %}{{ block.super }}!{% endblock %}{% block inner %}2{% endblock %}",
        bare="{% extends 'page' %}",
    )
    one, two, bare = (engine.get_template(name) for name in ("one", "two", "bare"))
    for a in "xyx":
        assert one.render(Context({"a": a})) == f"[{a}]<1{a}>"
        assert two.render(Context({"a": a})) == f"[{a}]!<2>"
        assert bare.render(Context({"a": a})) == f"[{a}]"
    # Each page its own parent; the section, which each of two pages has read for itself, its own.
    assert loader.asked == ["one", "two", "bare", "section", "page", "section", "page", "page"]


def test_a_parent_that_a_page_is_told_is_looked_for_each_time():
    engine, _ = looked_at(page=PAGE, other="{{ a }}", one="{% extends parent|lower %}{% block body %}1{% endblock %}")
    one = engine.get_template("one")
    for parent, shown in (("PAGE", "[x]1"), ("other", "x"), (engine.get_template("page"), "[x]1")):
        source = (
            one
            if isinstance(parent, str)
            else engine.from_string("{% extends parent %}{% block body %}1{% endblock %}")
        )
        assert source.render(Context({"a": "x", "parent": parent})) == shown


def test_a_page_that_extends_itself_is_an_error_and_not_an_endless_loop():
    engine, _ = looked_at(one="{% extends 'two' %}", two="{% extends 'one' %}")
    for _ in range(2):
        with pytest.raises(TemplateDoesNotExist):
            engine.get_template("one").render(Context({}))
