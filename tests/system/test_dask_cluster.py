"""Sessions larger than memory, on the workers of a dask cluster: processes that open the files themselves."""

import subprocess
import sys

import numpy as np
import pytest
from helpers_storage import EPOCH, MS, quiet_store

pytest.importorskip("distributed")
COUNT = 6000

SCRIPT = """
import os
from dask.distributed import Client, LocalCluster
from pymanip_run import SavedAsyncSession, Sessions

if __name__ == "__main__":
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None, memory_limit="400MB"
    )
    with cluster, Client(cluster) as client:
        session = SavedAsyncSession("data/run_1.h5", verbose=False)
        times, values = session.to_dask("T", chunks=500)
        pids = client.run(os.getpid).values()
        print("others", os.getpid() not in pids, len(set(pids)))
        print("sum", values.sum().compute())
        print("wait")
        input()  # meanwhile the run goes on
        print("again", values.sum().compute(), values.shape)
        _, frames = session.to_dask("frame", chunks=2)
        print("frames", frames.mean(axis=(1, 2)).compute().tolist())
        data = Sessions("data/*.h5").to_xarray("T", "p", chunks=500)
        print("all", float((data["T"] + data["p"]).sum().compute()), dict(data.sizes))
        print("late", len(session["T"].values))
"""


def fill(store, first, count, sign=1):
    for i in range(first, first + count):
        store.append_row(EPOCH + i * MS, ("T", "p"), (i, sign * i))
        if i % 2000 == 0:
            store.append_array(EPOCH + i * MS + 2000, "frame", np.full((20, 30), float(i)), None)


@pytest.mark.timeout(120)
def test_workers_read_in_parts_while_the_run_goes_on(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "work.py").write_text(SCRIPT)
    for number in (1, 2):
        store = quiet_store(tmp_path / "data" / f"run_{number}.h5")
        fill(store, 0, COUNT, sign=-1)
        if number == 1:
            writing = store
        else:
            store.close()
    worker = subprocess.Popen(
        [sys.executable, "work.py"], cwd=tmp_path, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        said = [worker.stdout.readline().strip() for _ in range(3)]
        fill(writing, COUNT, 500)
        output, error = worker.communicate("\n", timeout=100)
    finally:
        worker.kill()
        worker.wait()
        writing.close()
    total = sum(range(COUNT))
    assert said == ["others True 2", f"sum {float(total)}", "wait"], error
    assert output.splitlines() == [
        f"again {float(total)} ({COUNT},)",
        f"frames {[2000.0 * i for i in range(COUNT // 2000 + 1)]}",
        f"all {2.0 * sum(range(COUNT, COUNT + 500))} {{'sample': {2 * COUNT + 500}}}",
        f"late {COUNT + 500}",
    ], error
