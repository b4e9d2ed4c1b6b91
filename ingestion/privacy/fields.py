"""Documents in JSON cut to some of their fields, or without these, as DuckDB expressions.

A field is named by its path, with dots between names (`other.reference`). A list on the way is gone through, at any
level: `name.given` is what every name has there. DuckDB writes a number in a document anew, so that 2.50 becomes 2.5;
one that has to stay as it is stands there as a text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ingestion.sql import literal, quoted

# The fields within a field, by name; one that is meant as a whole has none here.
Tree = dict[str, "Tree"]
# What a field has where an object lacks it, by its path: the object's field that it is made of, empty where it is made
# of none, and what makes of an expression of its text one of JSON, or null.
Filled = Mapping[str, tuple[str, Callable[[str], str]]]


def kept_fields(paths: Iterable[str], document: str, filled: Filled | None = None) -> str:
    """An expression of a document with these fields alone; null where it is neither an object nor a list.

    Args:
        paths: the fields.
        document: an expression of its text.
        filled: what stands in fields that lack.
    """
    tree = tree_of(paths)
    cut = _kept(tree, "d", filled or {})
    general = f"list_transform([try_cast({document} as json)], lambda d: {cut})[1]"
    plain = ""
    if not filled and not any(tree.values()):
        # Most documents are objects of a few fields, such as references: read by paths, they take half the time.
        parts = ", ".join(
            f"{literal(_key(field))} || cast(json_extract({document}, {literal(_pointer(field))}) as varchar)"
            for field in tree
        )
        is_object = f"starts_with({document}, '{{') and json_valid({document})"
        plain = f"when {is_object} then '{{' || concat_ws(',', {parts}) || '}}'"
    return f"case when {document} is null then null {plain} else {general} end"


def other_fields(paths: Iterable[str], document: str) -> str:
    """An expression of a document without these fields; null where it has no others, or is neither object nor list."""
    cut = _others(tree_of(paths), "d")
    return (
        f"case when {document} is not null then list_transform([try_cast({document} as json)], lambda d: {cut})[1] end"
    )


def tree_of(paths: Iterable[str]) -> Tree:
    """Fields by their paths, as they lie in each other. One that is meant as a whole needs no fields of its own."""
    tree: Tree = {}
    # A whole field comes before what lies in it.
    for path in sorted(paths, key=lambda each: each.count(".")):
        below, (*names, last) = tree, path.split(".")
        for name in names:
            if name in below and not below[name]:
                break
            below = below.setdefault(name, {})
        else:
            below.setdefault(last, {})
    return tree


def _each(json: str, name: str, cut: str) -> str:
    """An expression of an object that is cut, or of a list of objects that are; null where nothing is left of any.

    Args:
        json: a name of the object or list.
        name: that of an object within `cut`, which is null where nothing is left.
        cut: an expression of what is left.
    """
    objects = f"case json_type({json}) when 'OBJECT' then [{json}] when 'ARRAY' then json_extract({json}, '$[*]') end"
    cuts = f"list_transform({objects}, lambda {name}: case json_type({name}) when 'OBJECT' then {cut} end)"
    # In a list, each keeps its place.
    listed = f"'[' || array_to_string(list_transform(c{name}, lambda e: coalesce(e, '{{}}')), ',') || ']'"
    shown = (
        f"case when json_type({json}) = 'OBJECT' then c{name}[1] "
        f"when list_count(c{name}) > 0 or len(c{name}) = 0 then {listed} end"
    )
    return f"list_transform([{cuts}], lambda c{name}: {shown})[1]"


def _kept(tree: Tree, json: str, filled: Filled, above: str = "", depth: int = 1) -> str:
    """An expression of the fields of an object, or of each in a list.

    All fields of a level are read in one pass, which takes a fraction of the time that paths take.
    """
    name = f"o{depth}"
    kinds, parts = dict.fromkeys(tree, "JSON"), []
    for field, below in tree.items():
        value, path = f"{name}[{literal(field)}]", f"{above}{field}"
        text = _kept(below, value, filled, f"{path}.", depth + 1) if below else f"cast({value} as varchar)"
        if path in filled:
            made_of, make = filled[path]
            of = f"{name}[{literal(made_of)}]"
            if made_of in tree:
                of = f"({of} ->> '$')"
            elif made_of:
                kinds[made_of] = "VARCHAR"
            text = f"coalesce({text}, {make(of)})"
        parts.append(f"{literal(_key(field))} || {text}")
    shape = "{" + ", ".join(f"{_key(field)} {quoted(kind)}" for field, kind in kinds.items()) + "}"
    read = (
        f"case json_type({json}) when 'OBJECT' then [from_json({json}, {literal(shape)})] "
        f"when 'ARRAY' then from_json({json}, {literal(f'[{shape}]')}) end"
    )
    cuts = f"list_transform({read}, lambda {name}: '{{' || concat_ws(',', {', '.join(parts)}) || '}}')"
    listed = f"'[' || array_to_string(c{name}, ',') || ']'"
    shown = f"case json_type({json}) when 'OBJECT' then c{name}[1] when 'ARRAY' then {listed} end"
    return f"list_transform([{cuts}], lambda c{name}: {shown})[1]"


def _others(tree: Tree, json: str, depth: int = 1) -> str:
    name, key, value = f"o{depth}", f"k{depth}", f"w{depth}"
    pointer = f"'/' || replace(replace({key}, '~', '~0'), '/', '~1')"
    cases = " ".join(
        f"when {literal(field)} then {_others(below, value, depth + 1) if below else 'null'}"
        for field, below in tree.items()
    )
    left = f"cast(to_json({key}) as varchar) || ':' || case {key} {cases} else cast({value} as varchar) end"
    part = f"list_transform([json_extract({name}, {pointer})], lambda {value}: {left})[1]"
    parts = f"list_filter(list_transform(json_keys({name}), lambda {key}: {part}), lambda p: p is not null)"
    return _each(json, name, f"nullif('{{' || coalesce(array_to_string({parts}, ','), '') || '}}', '{{}}')")


def _pointer(field: str) -> str:
    return "/" + field.replace("~", "~0").replace("/", "~1")


def _key(field: str) -> str:
    return '"' + field.replace("\\", "\\\\").replace('"', '\\"') + '":'
