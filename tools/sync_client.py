"""Generates ``hashmatch/client/_sync.py`` from `AsyncClient`: ``python -m tools.sync_client
[--check]``.

Each public method of the asynchronous client becomes one of the same name, arguments and docstring
that waits for it. Signatures and docstrings are copied as they are written, so that both clients
are documented alike; a method that the generator does not know how to forward is an error.
"""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TARGET: Final = ROOT / "hashmatch" / "client" / "_sync.py"

_HEAD: Final = '''"""The client for code without asyncio.

Generated from `hashmatch.client.AsyncClient` by `make client`. Do not edit: change the asynchronous
client, or `tools/sync_client.py`, and generate this file anew.
"""

from __future__ import annotations
'''

# First paragraph of the class's docstring; the others are those of the asynchronous client.
_SUMMARY: Final = "One connection to a server, safe for use by several threads."

# Methods that are not forwarded: the name that each gets, and its body.
_OWN: Final = {
    "__aenter__": ("__enter__", "return self"),
    "__aexit__": ("__exit__", "self.close()"),
    "close": ("close", "self._close()"),
}

_ASYNC_ITERATOR: Final = re.compile(r"\bAsync(?:Generator|Iterator)\[")

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class _Source:
    """A class as it is written: the module of the name ``module`` below the folder ``root``."""

    def __init__(self, root: Path, module: str, name: str) -> None:
        text = (root / f"{module.replace('.', '/')}.py").read_text()
        self.lines = text.splitlines()
        self.root = root
        self.module = module
        tree = ast.parse(text)
        self.imports = dict(_imports(tree))
        self.tree = next(
            node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name
        )

    @property
    def functions(self) -> Iterator[_Function]:
        """Yields the public methods, and special ones that have a counterpart, in order."""
        special = {"__init__", *_OWN}
        for node in self.tree.body:
            if isinstance(node, _Function) and (node.name in special or node.name[0] != "_"):
                yield node

    @property
    def bases(self) -> Iterator[_Source]:
        """Yields the bases, in order; each has to be imported by its name."""
        for base in self.tree.bases:
            name = ast.unparse(base)
            imported = re.fullmatch(r"from ([\w.]+) import \w+", self.imports.get(name, ""))
            if imported is None:
                raise LookupError(f"{self.tree.name}: its base {name} is not imported by its name")
            yield _Source(self.root, imported[1], name)

    def lines_of(self, node: ast.stmt) -> str:
        """Returns the lines that a statement has."""
        return "\n".join(self.lines[node.lineno - 1 : node.end_lineno])


def _imports(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yields each name that a module imports, with the statement that imports it alone."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                renamed = f" as {alias.asname}" if alias.asname else ""
                origin = f"from {node.module} " if isinstance(node, ast.ImportFrom) else ""
                name = alias.asname or alias.name.split(".")[0]
                yield name, f"{origin}import {alias.name}{renamed}"


def _decorators(function: _Function) -> set[str]:
    return {ast.unparse(decorator) for decorator in function.decorator_list}


def _arguments(function: _Function) -> str:
    """Returns the arguments of a call that passes on every argument of a method."""
    arguments = function.args
    if arguments.vararg or arguments.kwarg:
        raise TypeError(f"{function.name}: arguments without names cannot be passed on")
    if _ASYNC_ITERATOR.search(ast.unparse(arguments)):
        raise TypeError(f"{function.name}: an asynchronous argument cannot be passed on")
    by_place = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)][1:]
    by_name = [f"{argument.arg}={argument.arg}" for argument in arguments.kwonlyargs]
    return ", ".join(by_place + by_name)


def _names(function: _Function) -> Iterator[str]:
    """Yields the names that a signature needs when it is evaluated."""
    for node in (function.args, function.returns, *function.decorator_list):
        for part in ast.walk(node) if node is not None else ():
            if isinstance(part, ast.Name):
                yield part.id


def _forward(function: _Function, client: str) -> tuple[str, str]:
    """Returns the name and the body of the synchronous counterpart of a method."""
    name = function.name
    if name == "__init__":
        return name, f"super().__init__(lambda: {client}({_arguments(function)}))"
    if name in _OWN:
        return _OWN[name]
    if "property" in _decorators(function):
        return name, f"return self._client.{name}"
    call = f"self._client.{name}({_arguments(function)})"
    if _ASYNC_ITERATOR.match(ast.unparse(function.returns) if function.returns else ""):
        return name, f"return self._iterate({call})"
    if isinstance(function, ast.AsyncFunctionDef):
        return name, f"return self._run({call})"
    raise TypeError(f"{name} is neither asynchronous, nor an iterator, nor a property")


def _method(function: _Function, source: _Source, client: str) -> str:
    """Returns the synchronous counterpart of a method as source, indented as a method."""
    unknown = _decorators(function) - {"property", "overload"}
    if unknown:
        raise TypeError(f"{function.name}: cannot forward a method that is {', '.join(unknown)}")
    first = function.body[0]
    begin = min(node.lineno for node in (function, *function.decorator_list)) - 1
    if "overload" in _decorators(function):
        name, body = function.name, ""
        signature = source.lines[begin : function.end_lineno]
    else:
        if ast.get_docstring(function) is None:
            raise TypeError(f"{function.name} has no docstring")
        if first.lineno == function.lineno:
            raise TypeError(f"{function.name}: its docstring needs a line of its own")
        name, body = _forward(function, client)
        signature = source.lines[begin : first.lineno - 1]
    text = "\n".join(signature)
    text = re.sub(rf"^( *)(?:async )?def {function.name}\b", rf"\1def {name}", text, flags=re.M)
    text = _ASYNC_ITERATOR.sub("Iterator[", text)
    if not body:
        return text
    return f"{text}\n{source.lines_of(first)}\n        {body}"


def _classes(source: _Source) -> Iterator[_Source]:
    """Yields a class, then its bases and theirs."""
    yield source
    for base in source.bases:
        yield from _classes(base)


def _statements(used: set[str], source: _Source) -> Iterator[str]:
    """Yields the imports that names need which a class uses."""
    for name in used - {"AsyncGenerator", "AsyncIterator"}:
        if name in source.imports:
            yield source.imports[name]
        elif not hasattr(builtins, name):
            raise LookupError(f"{source.module} does not import {name}, which a signature has")


def generated(root: Path, module: str, client: str) -> str:
    """Returns the module of the class ``Client``, whose methods wait for those of ``client``.

    ``client`` is a class of a module below the folder ``root``. Its own methods come first, then
    those of its bases. Raises ``TypeError`` for a method that cannot be forwarded, and
    ``LookupError`` for a signature with a name that its module does not import.
    """
    needed = {
        f"from {module} import {client}",
        "from hashmatch.client._threads import ThreadedClient",
        "from collections.abc import Iterator",
    }
    methods: list[str] = []
    seen: set[str] = set()
    sources = list(_classes(_Source(root, module, client)))
    for source in sources:
        functions = [function for function in source.functions if function.name not in seen]
        for function in functions:
            methods.append(_method(function, source, client))
            needed |= set(_statements(set(_names(function)), source))
        seen |= {function.name for function in functions}
    text = "\n".join(
        [
            _HEAD,
            *sorted(needed),
            '__all__ = ["Client"]',
            "class Client(ThreadedClient):",
            _docstring(sources[0]),
            *(f"\n{method}" for method in methods),
        ]
    )
    return _formatted(text)


def _docstring(source: _Source) -> str:
    """Returns the docstring of a class, the first paragraph of which is replaced."""
    _, empty, more = source.lines_of(source.tree.body[0]).partition("\n\n")
    return f'    """{_SUMMARY}{empty}{more}' if empty else f'    """{_SUMMARY}"""'


def _formatted(text: str) -> str:
    """Returns source as `make format` leaves it."""
    for command in (("check", "--select", "I,F401", "--fix", "--quiet"), ("format", "--quiet")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET), "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        if done.returncode:
            raise SystemExit(f"ruff {command[0]} failed: {done.stderr or done.stdout}")
        text = done.stdout
    return text


def main(arguments: list[str]) -> None:
    """Writes the client, or with ``--check`` raises ``SystemExit`` unless it is up to date."""
    text = generated(ROOT, "hashmatch.client._async", "AsyncClient")
    if arguments == ["--check"]:
        if not TARGET.exists() or TARGET.read_text() != text:
            raise SystemExit("hashmatch/client/_sync.py is stale, run 'make client'")
    elif arguments:
        raise SystemExit("usage: python -m tools.sync_client [--check]")
    else:
        TARGET.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
