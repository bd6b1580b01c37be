"""Programs start without torch's compiler, and load it when something of it is used.

`torch._dynamo` imports 840 modules, SymPy and torch._inductor among them: a quarter of the seconds
that it takes to start a program with networks. Nothing is compiled here. But torchvision, timm,
Fabric and an optimizer's first step import it, for four names. Three do nothing where nothing is
compiled, and the fourth asks the real module when it is called. Here these four are there at once;
any other name runs the real module, in the same place.
"""

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

PACKAGE = "torch._dynamo"


class OptimizedModule:
    """What a compiled network is; no network is one."""


def disable(fn: Any = None, *_: Any, **__: Any) -> Any:
    """Mark a function that must not be compiled: leave it as it is. Also a decorator's maker."""
    return disable if fn is None else fn


def graph_break(*_: Any, **__: Any) -> None:
    """Mark where two compiled parts must be apart: nothing."""


def is_compile_supported(device: str) -> bool:
    """Whether networks on a device can be compiled, by the real function of that name."""
    module = sys.modules[f"{PACKAGE}.utils"]
    load(module)
    return module.is_compile_supported(device)


AT_ONCE = {
    PACKAGE: {
        "OptimizedModule": OptimizedModule,
        "disable": disable,
        "graph_break": graph_break,
    },
    f"{PACKAGE}.utils": {"is_compile_supported": is_compile_supported},
}


def postpone_compiler() -> None:
    """Postpone every later import of the compiler in this process. Call it before torch is used."""
    if PACKAGE not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class Postponed(ModuleType):
    """A module that has not run yet: with the names of `AT_ONCE` alone."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # asked of every module, by inspect and warnings
            raise AttributeError(f"module {self.__name__} has no attribute {name}")
        load(self)
        return getattr(self, name)


def load(module: ModuleType) -> None:
    """Run the real module in its stand-in's place, if it is one; a package before its parts."""
    parent = sys.modules[PACKAGE]
    if module is not parent:
        load(parent)  # which may ask for a name of `module`, and so run it
    if not isinstance(module, Postponed):
        return
    for name in AT_ONCE[module.__name__]:
        delattr(module, name)
    loader = module.__spec__.loader.real
    module.__class__ = ModuleType
    module.__spec__.loader = module.__loader__ = loader
    loader.exec_module(module)


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name in AT_ONCE:
            spec = PathFinder.find_spec(name, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader)
            return spec
        parent = sys.modules.get(PACKAGE)
        if name.startswith(f"{PACKAGE}.") and isinstance(parent, Postponed):
            load(parent)  # which may import the part
            if name in sys.modules:
                return ModuleSpec(name, _There(sys.modules[name]))
        return None


class _Loader(Loader):
    def __init__(self, real: Loader):
        self.real = real

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = Postponed
        vars(module).update(AT_ONCE[module.__name__])


class _There(Loader):
    """Gives a module that has run already."""

    def __init__(self, module: ModuleType):
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec
