"""Analysis code as models write it, and as somebody would who wants out: the first must work, the second must come to nothing."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

NAMES = ["id", "region", "product", "amount", "quantity", "day"]
ROWS: list[tuple[Any, ...]] = [
    (1, "North", "tea", Decimal("10.50"), 2, date(2026, 1, 5)),
    (2, "South", "tea", Decimal("20.00"), None, date(2026, 1, 20)),
    (3, "North", "milk", Decimal("5.25"), 1, date(2026, 2, 3)),
    (4, "South", "milk", Decimal("7.75"), 3, date(2026, 2, 14)),
    (5, "North", "tea", Decimal("30.00"), 4, date(2026, 3, 1)),
]

WORKS: list[tuple[str, str, Any]] = [
    ("pandas", "result = df.groupby('region').amount.sum()", [["North", 45.75], ["South", 27.75]]),
    ("pandas", "df.groupby('region', as_index=False).agg(total=('amount', 'sum')).total.max()", 45.75),
    (
        "pandas",
        "result = df.pivot_table(index='region', columns='product', values='amount', aggfunc='sum')",
        [["North", 5.25, 40.5], ["South", 7.75, 20.0]],
    ),
    (
        "pandas",
        "result = df.set_index('day').resample('MS').amount.sum()",
        [["2026-01-01", 30.5], ["2026-02-01", 13.0], ["2026-03-01", 30.0]],
    ),
    ("pandas", "import numpy as np\nresult = float(np.percentile(df['amount'], 50))", 10.5),
    (
        "pandas",
        "p = pd.DataFrame({'product': ['tea', 'milk'], 'price': [2, 1]})\nresult = df.merge(p).groupby('product').price.sum()",
        [["milk", 2], ["tea", 6]],
    ),
    ("pandas", "result = df[df.quantity.isna()][['id', 'quantity']]", [[2, None]]),
    ("pandas", "result = df.query('amount > 15').sort_values('amount', ascending=False).id", [[5], [2]]),
    ("pandas", "result = df.groupby(df.day.dt.year.to_numpy()).quantity.sum()", [[2026, 10]]),
    ("pandas", "result = df.amount.rolling(2).mean().round(2).tolist()", [None, 15.25, 12.62, 6.5, 18.88]),
    ("pandas", "result = df.eval('amount * 2').tolist()", [21.0, 40.0, 10.5, 15.5, 60.0]),
    (
        "pandas",
        "local = df.day.dt.tz_localize('UTC').dt.tz_convert('America/New_York')\nresult = local.dt.strftime('%d.%m.').tolist()",
        ["04.01.", "19.01.", "02.02.", "13.02.", "28.02."],
    ),
    ("pandas", "df['month'] = df.day.dt.to_period('M')\nresult = df.month.iloc[0]", "2026-01"),
    (
        "pandas",
        "result = {'regions': df.region.nunique(), 'top': df.nlargest(1, 'amount')[['id', 'amount']]}",
        {"regions": 2, "top": [{"id": 5, "amount": 30.0}]},
    ),
    (
        "pandas",
        "result = df.groupby(['region', 'product']).agg({'amount': ['sum', 'count']})",
        [["North", "milk", 5.25, 1], ["North", "tea", 40.5, 2], ["South", "milk", 7.75, 1], ["South", "tea", 20.0, 1]],
    ),
    ("pandas", "print(f'{df.amount.sum():.2f}')", "73.50\n"),
    (
        "pandas",
        "import statistics, collections\nresult = collections.Counter(df.region).most_common()",
        [["North", 3], ["South", 2]],
    ),
    (
        "pandas",
        "result = pd.cut(df.amount, [0, 10, 50]).astype(str).value_counts().to_dict()",
        {"(10, 50]": 3, "(0, 10]": 2},
    ),
    ("pandas", "result = df[['amount', 'id']].corr().round(3).loc['amount', 'id']", 0.414),
    (
        "polars",
        "result = df.group_by('region').agg(pl.col('amount').sum()).sort('region')",
        [["North", 45.75], ["South", 27.75]],
    ),
    (
        "polars",
        "result = df.sort('day').group_by_dynamic('day', every='1mo').agg(pl.col('amount').sum())",
        [["2026-01-01", 30.5], ["2026-02-01", 13.0], ["2026-03-01", 30.0]],
    ),
    ("polars", "result = df.lazy().filter(pl.col('quantity').is_null()).select('id').collect()", [[2]]),
    (
        "polars",
        "result = df.pivot(on='product', index='region', values='amount', aggregate_function='sum').sort('region')",
        [["North", 40.5, 5.25], ["South", 20.0, 7.75]],
    ),
    (
        "polars",
        "other = pl.DataFrame({'product': ['tea'], 'price': [2]})\nresult = df.join(other, on='product').height",
        3,
    ),
    (
        "polars",
        "result = df.with_columns(pl.col('amount').rank().over('region').alias('r'))['r'].to_list()",
        [2.0, 2.0, 1.0, 1.0, 3.0],
    ),
    (
        "polars",
        "result = pl.sql('SELECT region, sum(amount) AS s FROM df GROUP BY region ORDER BY s').collect()",
        [["South", 27.75], ["North", 45.75]],
    ),
    (
        "polars",
        "result = df.lazy().group_by('product').len().sort('product').collect(engine='streaming')",
        [["milk", 2], ["tea", 3]],
    ),
]
"""Library, code, rows of the table or the value."""


class Escape(NamedTuple):
    """An attempt.

    :param evidence: A pattern that would be in what comes back if it succeeded; in the folder `{SANDBOX}` nothing may change either.
    """

    name: str
    code: str
    evidence: str = "ESCAPED"
    engine: str = "pandas"


_C = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
_TRIED = "\nresult = 'ESCAPED' if done >= 0 else 'no'"

ESCAPES = [
    Escape(
        "open in C", _C + "fd = libc.open(b'{SANDBOX}/canary.txt', 0)\nresult = os.read(fd, 99).decode()", "CANARYFILE"
    ),
    Escape(
        "openat by number",
        _C + "fd = libc.syscall(257, -100, b'{SANDBOX}/canary.txt', 0)\nresult = os.read(fd, 99)",
        "CANARYFILE",
    ),
    Escape(
        "whether a file is there", "import os\nresult = 'ESCAPED' if os.path.exists('{SANDBOX}/canary.txt') else 'no'"
    ),
    Escape("own memory as a file", "result = open('/proc/self/mem', 'rb') and 'ESCAPED'"),
    Escape("own environment as a file", "result = open('/proc/self/environ').read()", "PATH|CANARYENV"),
    Escape(
        "environment in memory",
        _C + "result = str(os.environ) + str(ctypes.c_char_p.in_dll(libc, 'environ').value)",
        "CANARYENV",
    ),
    Escape("memory of the server", _C + "done = libc.syscall(310, {PID}, None, 0, None, 0, 0)" + _TRIED),
    Escape("attach to the server", _C + "done = libc.ptrace(16, {PID}, None, None)" + _TRIED),
    Escape("signal to the server", _C + "done = libc.syscall(62, {PID}, 0)" + _TRIED),
    Escape("signal to a thread of the server", _C + "done = libc.syscall(234, {PID}, {PID}, 0)" + _TRIED),
    Escape("signal to the whole group", "import os\nos.killpg(0, 9)\nresult = 'ESCAPED'"),
    Escape("signal to everybody", "import os\nos.kill(-1, 9)\nresult = 'ESCAPED'"),
    Escape("fork in C", _C + "done = libc.fork()" + _TRIED),
    Escape("vfork by number", _C + "done = libc.syscall(58)" + _TRIED),
    Escape("clone by number", _C + "done = libc.syscall(56, 17, 0, 0, 0, 0)" + _TRIED),
    Escape("program", _C + "libc.execl(b'/bin/sh', b'sh', b'-c', b'touch {SANDBOX}/made', None)\nresult = 1"),
    Escape("program from memory", _C + "done = libc.memfd_create(b'x', 0)" + _TRIED),
    Escape("io_uring", _C + "done = libc.syscall(425, 8, ctypes.create_string_buffer(120))" + _TRIED),
    Escape("socket of the machine", "import _socket\n_socket.socket(1, 1)\nresult = 'ESCAPED'"),
    Escape("socket in C", _C + "done = libc.socket(2, 2, 0)" + _TRIED),
    Escape("symbolic link", "import os\nos.symlink('{SANDBOX}/canary.txt', '{SANDBOX}/link')\nresult = 'ESCAPED'"),
    Escape("hard link", "import os\nos.link('{SANDBOX}/canary.txt', '{SANDBOX}/twin')\nresult = 'ESCAPED'"),
    Escape("rename", "import os\nos.rename('{SANDBOX}/canary.txt', '{SANDBOX}/moved')\nresult = 'ESCAPED'"),
    Escape("remove", "import os\nos.unlink('{SANDBOX}/canary.txt')\nresult = 'ESCAPED'"),
    Escape("rights of a file", "import os\nos.chmod('{SANDBOX}/canary.txt', 0o777)\nresult = 'ESCAPED'"),
    Escape("another folder", "import os\nos.chdir('{SANDBOX}')\nresult = 'ESCAPED'"),
    Escape("more memory", "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))\nresult = 'ESCAPED'"),
    Escape("namespaces", _C + "done = libc.unshare(0x10000000)" + _TRIED),
    Escape("another filter", _C + "done = libc.syscall(317, 1, 0, None)" + _TRIED),
    Escape("threads without threading", "import _thread\n_thread.start_new_thread(print, ())\nresult = 'ESCAPED'"),
    Escape(
        "numpy from a file", "result = bytes(np.fromfile('{SANDBOX}/canary.txt', dtype='u1')).decode()", "CANARYFILE"
    ),
    Escape("numpy maps a file", "result = bytes(np.memmap('{SANDBOX}/canary.txt', mode='r')).decode()", "CANARYFILE"),
    Escape("numpy to a file", "np.save('{SANDBOX}/made.npy', df.id.to_numpy())\nresult = 'ESCAPED'"),
    Escape(
        "arrow's files",
        "import sys\nresult = sys.modules['pyarrow'].memory_map('{SANDBOX}/canary.txt').read()",
        "CANARYFILE",
    ),
    Escape("pandas from the network", "result = pd.read_csv('http://127.0.0.1:{PORT}/').columns[0]", "CANARYNET"),
    Escape("pandas to a pickle", "df.to_pickle('{SANDBOX}/made')\nresult = 'ESCAPED'"),
    Escape("the clipboard", "df.to_clipboard()\nresult = 'ESCAPED'"),
    Escape(
        "polars from the network", "result = pl.read_csv('http://127.0.0.1:{PORT}/').columns[0]", "CANARYNET", "polars"
    ),
    Escape("polars in the cloud", "result = pl.scan_parquet('s3://bucket/key').collect()", "ESCAPED", "polars"),
    Escape(
        "polars from a database",
        "result = pl.read_database_uri('SELECT 1', 'sqlite://{SANDBOX}/x.db')",
        "ESCAPED",
        "polars",
    ),
    Escape("polars to a file", "df.write_ipc('{SANDBOX}/made')\nresult = 'ESCAPED'", "ESCAPED", "polars"),
    Escape(
        "polars lists a folder",
        "result = pl.scan_csv('{SANDBOX}/*.txt').collect_schema().names()",
        "CANARYFILE",
        "polars",
    ),
    Escape(
        "polars reads in a query",
        "result = pl.sql(\"SELECT * FROM read_csv('{SANDBOX}/canary.txt')\").collect()",
        "CANARYFILE",
        "polars",
    ),
    Escape(
        "a plug-in for polars",
        "from polars.plugins import register_plugin_function\n"
        "result = df.select(register_plugin_function(plugin_path='{SANDBOX}/x.so', function_name='f', args=['id']))",
        "ESCAPED",
        "polars",
    ),
    Escape(
        "processes for Python",
        "import multiprocessing\nmultiprocessing.Process(target=print).start()\nresult = 'ESCAPED'",
    ),
]

GREEDY = [
    ("np.zeros(1 << 40)", "pandas"),
    ("np.ones(1 << 28)", "pandas"),
    (
        "import ctypes\nif ctypes.CDLL(None).mmap(0, 1 << 32, 3, 0x21, -1, 0) == -1: raise MemoryError\nresult = 'ESCAPED'",
        "pandas",
    ),
    ("x = [0]\nwhile True: x += x", "pandas"),
    ("result = 10 ** 10 ** 10", "pandas"),
    ("while True: print('x' * 10 ** 6)", "pandas"),
    ("import os\nwhile True: os.write(3, b'x' * 65536)", "pandas"),
    ("result = 'x' * (1 << 26)", "pandas"),
    ("result = [[1] * 1000] * 100_000", "pandas"),
    ("result = pl.DataFrame({'a': range(10 ** 9)})", "polars"),
    ("while True: df.lazy().join(df.lazy(), how='cross').collect()", "polars"),
]
"""Code that takes too much, and its library."""

BROKEN = [
    "import os\nos._exit(0)",
    "import os\nos._exit(7)",
    "import os\nos.abort()",
    "import ctypes\nctypes.string_at(0)",
    "import os\nos.close(3)\nresult = 1",
    'import os\nos.write(3, b\'{"kind": "value", "value": "FORGED", "printed": ""}\')\nresult = 1',
    'import os\nos.write(3, b\'{"kind": "table", "names": [1], "rows": 1, "printed": ""}\')\nos._exit(0)',
    'import os\nos.write(3, b\'{"kind": "text", "value": "\\\\ud800", "printed": ""}\')\nos._exit(0)',
    "import os\nos.write(3, b'[' * 10 ** 6)\nos._exit(0)",
    'import os\nos.write(3, b\'{"kind": "value", "value": NaN, "printed": ""}\')\nos._exit(0)',
    'import os\nos.write(3, b\'{"kind": "value", "value": \' + b\'9\' * 5000 + b\', "printed": ""}\')\nos._exit(0)',
    "def f(): f()\nf()",
    "result = []\nresult.append(result)",
    "result = 10 ** 5000",
    "result = lambda: 1",
    "result = pd",
    "result = df.groupby('id')",
    "raise SystemExit(0)",
    "raise KeyboardInterrupt",
    "class E(Exception):\n    def __str__(self): raise self\nraise E",
    "class E(Exception): pass\nraise E('x' * 10 ** 7)",
    "class L(list):\n    @property\n    def __class__(self): return dict\nresult = L()",
    "this is no Python",
    "x = " + "(" * 5000 + ")" * 5000,
    "",
    "import sys\nsys.stdout = None\nsys.modules.clear()\nresult = object()",
    "df.plot()",
    "import json\njson.dumps = lambda *_, **__: 1 / 0\nresult = 1",
]
"""Code that brings no answer: each is an error, and soon."""

FORBIDDING = """
import ctypes, struct
from racto.tools.sql import confinement, lockdown
from racto.tools.sql.policy import Limits
number = {number}
lines = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50000 | 38), (6, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *line) for line in lines))
lockdown._prctl(38, 1)
lockdown._demand(lockdown._number("seccomp"), 1, 0, struct.pack("=HxxxxxxQ", 4, ctypes.addressof(program)))
here = confinement.available()
lockdown.missing = lambda: []  # as if only the other process found out
try:
    print(confinement.run_code("result = 1", [], [], engine="pandas", limits=Limits()))
except confinement.ConfigError as error:
    print(here, error)
"""
"""A program in which the kernel refuses one system call, as in a container that forbids it: what it says of running code."""
