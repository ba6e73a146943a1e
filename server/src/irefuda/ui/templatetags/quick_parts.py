"""Tags for what every page has: Django's own `url` with the addresses kept, and parts of the frame that are rendered once."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, cast

from django import template
from django.conf import settings
from django.template.base import (
    FilterExpression,
    NodeList,
    Parser,
    Template,
    TextNode,
    Token,
    TokenType,
    Variable,
)
from django.template.context import Context
from django.template.defaulttags import URLNode
from django.template.defaulttags import url as parse_url
from django.template.loader_tags import BLOCK_CONTEXT_KEY, BlockContext, BlockNode, ExtendsNode, do_extends
from django.urls import NoReverseMatch, get_script_prefix, get_urlconf, reverse
from django.utils.html import conditional_escape

register = template.Library()
KEPT = 64
# Words of a tag that are no variables.
WORDS = frozenset({"if", "elif", "else", "endif", "static", "and", "or", "not"})


def _reader(expression: FilterExpression, *, ignore_failures: bool = False) -> Callable[[Context], Any]:
    """Return what reads `a.b.c` from the context by attributes, where Django tries at every dot whether it is a key.

    Whatever is none, or has to be called or filtered, is left to Django.
    """

    def as_django_does(context: Context) -> Any:
        return expression.resolve(context, ignore_failures=ignore_failures)

    variable = expression.var
    if expression.filters or not isinstance(variable, Variable) or not variable.lookups or variable.translate:
        return as_django_does
    first, *attributes = variable.lookups

    def read(context: Context) -> Any:
        value = context.get(first)
        for name in attributes:
            value = getattr(value, name, None)
        return as_django_does(context) if value is None or callable(value) else value

    return read


class Address(URLNode):
    """Django's `{% url %}` for addresses of names and places in a path: there are few, and each is asked for very often."""

    def __init__(self, node: URLNode) -> None:
        super().__init__(node.view_name, node.args, node.kwargs, node.asvar)
        self.readers = [_reader(arg) for arg in node.args]

    def render(self, context: Context) -> str:
        """Return the address, or put it into the context; "" there when this site has no such page."""
        if self.kwargs:
            return str(super().render(context))
        urlconf = get_urlconf() or settings.ROOT_URLCONF
        args = tuple(read(context) for read in self.readers)
        try:
            url = _address(urlconf, get_script_prefix(), self.view_name.resolve(context), args)
        except NoReverseMatch:
            if self.asvar is None:
                raise
            url = ""
        if self.asvar is None:
            return str(conditional_escape(url)) if context.autoescape else url
        context[self.asvar] = url
        return ""


@functools.lru_cache(maxsize=2048, typed=True)
def _address(urlconf: str, prefix: str, name: str, args: tuple[Any, ...]) -> str:
    return str(reverse(name, urlconf, args))


@register.tag("url")
def url(parser: Parser, token: Token) -> Address:
    """`{% url … %}`."""
    return Address(parse_url(parser, token))


class Extends(ExtendsNode):
    """Django's `{% extends %}`: the parent that a page names, and the blocks that it has, are looked for once."""

    found: tuple[Template, dict[str, BlockNode]] | None = None

    def render(self, context: Context) -> str:
        """Return the parent's page with this page's blocks."""
        name = cast("FilterExpression", self.parent_name)
        if name.filters or isinstance(name.var, Variable):
            # Another one each time.
            return str(super().render(context))
        if self.found is None:
            parent = self.get_parent(context)
            first = next((node for node in parent.nodelist if not isinstance(node, TextNode)), None)
            # Of a parent that has one itself they come in with that.
            of_root = [] if isinstance(first, ExtendsNode) else parent.nodelist.get_nodes_by_type(BlockNode)
            self.found = parent, {block.name: block for block in cast("list[BlockNode]", of_root)}
        parent, blocks = self.found
        known = context.render_context.get(BLOCK_CONTEXT_KEY)
        if known is None:
            known = context.render_context[BLOCK_CONTEXT_KEY] = BlockContext()
        known.add_blocks(self.blocks)
        known.add_blocks(blocks)
        with context.render_context.push_state(parent, isolated_context=False):
            return str(parent._render(context))  # type: ignore[attr-defined]


@register.tag("extends")
def extends(parser: Parser, token: Token) -> Extends:
    """`{% extends … %}`."""
    node = do_extends(parser, token)
    return Extends(node.nodelist, node.parent_name)


class Kept(template.Node):
    """What stands between `{% kept a b %}` and `{% endkept %}`, rendered once for each set of values of `a` and `b`."""

    # Nothing in it can be overridden by a page, so nobody has to look for blocks in it at every rendering.
    child_nodelists = ()

    def __init__(self, nodelist: NodeList, depends_on: list[Callable[[Context], Any]]) -> None:
        self.nodelist, self.depends_on = nodelist, depends_on
        self.rendered: dict[tuple[object, ...], str] = {}

    def render(self, context: Context) -> str:
        """Return the part as it was rendered for these values."""
        values = tuple(read(context) for read in self.depends_on)
        if (known := self.rendered.get(values)) is not None:
            return known
        rendered = self.nodelist.render(context)
        if len(self.rendered) >= KEPT:
            self.rendered.clear()
        self.rendered[values] = rendered
        return rendered


@register.tag
def kept(parser: Parser, token: Token) -> Kept:
    """`{% kept a b.c %}…{% endkept %}`; inside stand text, `if`, `static` and the named variables, and nothing else.

    :raises TemplateSyntaxError: when the part says something that it does not name: it would be kept for everybody
    """
    names = token.split_contents()[1:]
    for part in reversed(cast("list[Token]", parser.tokens)):
        if part.token_type in (TokenType.VAR, TokenType.BLOCK):
            if part.contents == "endkept":
                break
            said = re.sub(r"""'[^']*'|"[^"]*\"""", "", part.contents)
            for word in re.findall(r"[A-Za-z_][\w.]*", said):
                if word not in names and (part.token_type is TokenType.VAR or word not in WORDS):
                    raise template.TemplateSyntaxError(f"{{% kept %}} does not name {word!r}")
    nodelist = parser.parse(("endkept",))
    parser.delete_first_token()
    return Kept(nodelist, [_reader(parser.compile_filter(name), ignore_failures=True) for name in names])
