"""The routes that answer with files: records of datasets, the series as CSV, the session itself.

Each client takes them at its own pace: what it has not taken yet is not made yet.
"""

from __future__ import annotations

import asyncio
import io
import math
import tempfile
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from aiohttp import web

from pymanip_run.errors import NotFoundError
from pymanip_run.records.plain import plain
from pymanip_run.runtime.threads import Worker, call_in
from pymanip_run.web.answers import json_answer
from pymanip_run.web.encode import dumps, dumps_slowly, numbers
from pymanip_run.web.failures import Refusal
from pymanip_run.web.pictures import as_npy, as_png, envelope, first, thinned
from pymanip_run.web.queries import known_names, one_float

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pymanip_run.web.api import Api

__all__ = ["Downloads"]

#: At the same time.
DOWNLOADS = 2
#: Seconds in which a client takes nothing.
STUCK_SECONDS = 30.0
BLOCK = 1 << 18
#: Longer records are sent block by block.
LONG = 1 << 20
#: Values of a record as JSON.
MAX_JSON = 1_000_000
MAX_SIZE = 4096
#: How a record is made smaller: by leaving rows and columns out, to its extremes, to its beginning.
PARTS = {"thinned": thinned, "minmax": envelope, "first": first}


class _Shown(NamedTuple):
    """How a record is wanted."""

    kind: str
    #: 0: as it is.
    size: int
    part: str
    low: float | None
    high: float | None

    def smaller(self, array: NDArray[Any]) -> NDArray[Any]:
        if not self.size or not array.ndim:
            return array
        return PARTS[self.part](array, self.size)


class Downloads:
    """Answers with files.

    Parameters
    ----------
    api
        Answers about the session.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._running = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/v1/datasets/{name}", self.times),
            web.get(r"/api/v1/datasets/{name}/{index:\d{1,12}}.{kind:npy|png|json}", self.record),
            web.get("/api/v1/export.csv", self.csv),
            web.get("/api/v1/session.h5", self.session),
        ]

    # -- datasets -------------------------------------------------------------------------------

    async def times(self, request: web.Request) -> web.Response:
        """Answer with the times of a dataset's records."""
        name = request.match_info["name"]
        async with self._api.turns.turn():
            times = await self._api.in_thread(self._times, name)
            content = {"name": name, "n": len(times), "times": times}
            return await self._api.writing.answer(request, content)

    def _times(self, name: str) -> list[float]:
        try:
            found: list[float] = self._api.watched.histories.dataset_times(name).tolist()
        except NotFoundError as error:
            raise Refusal(404, "no_such_dataset", str(error), "GET /api/v1/datasets") from error
        return found

    async def record(self, request: web.Request) -> web.StreamResponse:
        """Answer with a record of a dataset."""
        name, index = request.match_info["name"], int(request.match_info["index"])
        async with self._api.turns.turn():
            answer: web.Response = await self._api.in_thread(
                self._encoded, name, index, _wanted(request)
            )
        body = answer.body
        if not isinstance(body, bytes) or len(body) <= LONG or request.method == "HEAD":
            return answer
        response = web.StreamResponse(headers=answer.headers)
        response.content_length = len(body)
        with self._slot():
            await response.prepare(request)
            await _sent(response, io.BytesIO(body))
            await response.write_eof()
        return response

    def _encoded(self, name: str, index: int, shown: _Shown) -> web.Response:
        view = self._api.watched.histories
        try:
            time = float(view.dataset_times(name)[index])
            value = view.dataset(name, n=index)
        except NotFoundError as error:
            raise Refusal(404, "no_such_dataset", str(error), "GET /api/v1/datasets") from error
        except IndexError:
            raise Refusal(
                404, "no_such_record", f"{name} has no record {index}", "GET /api/v1/datasets"
            ) from None
        is_array = isinstance(value, np.ndarray)
        if shown.kind != "json" and not (is_array and value.dtype.kind in "biufc"):
            raise Refusal(415, "no_array", "this record is no array of numbers", f"{index}.json")
        try:
            small = shown.smaller(value) if is_array else value
            answer = _answer(value, small, time, shown)
        except ValueError as error:
            raise Refusal(415, "no_image", str(error), f"{index}.npy or {index}.json") from error
        answer.headers["X-Timestamp"] = repr(time)
        if is_array:
            answer.headers["X-Shape"] = ",".join(map(str, value.shape))
        return answer

    # -- files ----------------------------------------------------------------------------------

    async def csv(self, request: web.Request) -> web.StreamResponse:
        """Answer with the series as CSV, while it is being made."""
        watched = self._api.watched
        if watched.write_csv is None:
            raise Refusal(404, "not_found", "there is no CSV here", "GET /api/v1/data")
        view = watched.view
        names = known_names(request.query.getall("name", []), set(view.logged_last_values()))
        since, until = one_float(request, "since", -math.inf), one_float(request, "until", math.inf)
        response = self._attachment("csv", "text/csv; charset=utf-8")
        if request.method == "HEAD":
            return response
        write = watched.write_csv
        with self._slot():
            await response.prepare(request)
            pipe = _Pipe(response)
            await _in_own_thread(lambda: _written(pipe, lambda: write(pipe, names, since, until)))
            await response.write_eof()
        return response

    async def session(self, request: web.Request) -> web.StreamResponse:
        """Answer with a copy of the session as it is now."""
        copy = self._api.watched.copy_session
        if copy is None:
            raise Refusal(
                404, "no_file", "this session is in memory, there is no file", "/api/v1/export.csv"
            )
        response = self._attachment("h5", "application/x-hdf5")
        if request.method == "HEAD":
            return response
        with self._slot(), tempfile.TemporaryDirectory(prefix="pymanip-run-") as folder:
            path = Path(folder) / "session.h5"
            try:
                await _in_own_thread(lambda: copy(path))
            except OSError as error:
                raise Refusal(503, "no_copy", f"no copy could be made: {error}", "") from error
            response.content_length = path.stat().st_size
            await response.prepare(request)
            with path.open("rb") as file:
                await _sent(response, file)
            await response.write_eof()
        return response

    def _attachment(self, suffix: str, media: str) -> web.StreamResponse:
        name = self._api.watched.view.session_name or "session"
        plain_name = "".join(
            c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name
        )
        headers = {"Content-Disposition": f'attachment; filename="{plain_name}.{suffix}"',
                   "Content-Type": media}  # fmt: skip
        return web.StreamResponse(headers=headers)

    def _slot(self) -> _Slot:
        return _Slot(self)

    def enter(self) -> None:
        """Begin a download.

        Raises
        ------
        Refusal
            If there are enough.
        """
        if self._running >= DOWNLOADS:
            raise Refusal(
                503, "busy", "others are downloading", "try again when they are done",
                {"Retry-After": "10"},
            )  # fmt: skip
        self._running += 1

    def leave(self) -> None:
        """End a download."""
        self._running -= 1


class _Slot:
    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads

    def __enter__(self) -> None:
        self._downloads.enter()

    def __exit__(self, *_: object) -> None:
        self._downloads.leave()


class _Pipe(io.BytesIO):
    """A file, for a thread, that writes into an answer and waits while the client does not take it."""

    def __init__(self, response: web.StreamResponse) -> None:
        super().__init__()
        self._response = response
        self._loop = asyncio.get_running_loop()
        self._waiting: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._waiting.append(bytes(data))
        self._size += len(data)
        if self._size >= BLOCK:
            self.flush()
        return len(data)

    def flush(self) -> None:
        if self._waiting:
            block, self._waiting, self._size = b"".join(self._waiting), [], 0
            future = asyncio.run_coroutine_threadsafe(self._response.write(block), self._loop)
            future.result(STUCK_SECONDS)


def _written(pipe: _Pipe, write: Any) -> None:
    try:
        write()
        pipe.flush()
    except FutureTimeoutError:
        raise _stuck() from None


async def _sent(response: web.StreamResponse, file: BinaryIO) -> None:
    while block := await asyncio.to_thread(file.read, BLOCK):
        try:
            async with asyncio.timeout(STUCK_SECONDS):
                await response.write(block)
        except TimeoutError:
            raise _stuck() from None


def _stuck() -> ConnectionResetError:
    return ConnectionResetError("the client does not take the file")


async def _in_own_thread(function: Any) -> None:
    worker = Worker("dashboard: download")
    try:
        await call_in(worker, function)
    finally:
        worker.shutdown(wait=False)


def _wanted(request: web.Request) -> _Shown:
    kind = request.match_info["kind"]
    size = one_float(request, "size", MAX_SIZE if kind == "png" else 0.0, "800")
    if not 0 <= size <= MAX_SIZE:
        raise Refusal(400, "bad_value", f"size must be 1 to {MAX_SIZE}", "size=800")
    part = request.query.get("part", "thinned")
    if part not in PARTS:
        raise Refusal(400, "bad_value", f"part must be one of {', '.join(PARTS)}", "part=minmax")
    limits = [one_float(request, key, math.inf, "0.5") for key in ("min", "max")]
    low, high = (value if math.isfinite(value) else None for value in limits)
    return _Shown(kind, int(size), part, low, high)


def _answer(value: Any, small: Any, time: float, shown: _Shown) -> web.Response:
    if shown.kind == "json":
        return json_answer(_as_json(value, small, time))
    if shown.kind == "npy":
        return web.Response(body=as_npy(small), content_type="application/octet-stream")
    return web.Response(body=as_png(small, shown.low, shown.high), content_type="image/png")


def _as_json(value: Any, array: Any, time: float) -> bytes:
    """Return a record, `array` being what is shown of it."""
    if not isinstance(value, np.ndarray):
        return dumps(plain({"t": time, "value": value if _is_plain(value) else str(value)}))
    if array.size > MAX_JSON:
        raise Refusal(
            413, "too_large", f"this record has {array.size} values", "take .npy, or ?size=500"
        )
    content: dict[str, Any] = {"t": time, "shape": list(value.shape), "dtype": str(value.dtype)}
    if array.dtype.kind == "f":
        flat, flags = numbers(array.astype(np.float64).ravel())
        content |= {"value": _nested(flat, array.shape), "nonfinite": flags}
    elif array.dtype.kind in "biu":
        content["value"] = array.tolist()
    elif array.dtype.kind == "c":
        content["value"] = plain({"real": array.real.tolist(), "imag": array.imag.tolist()})
    else:
        content["value"] = array.astype(str).tolist()
    return dumps_slowly(content)


def _nested(flat: list[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return flat[0]
    for length in reversed(shape[1:]):
        flat = [flat[i : i + length] for i in range(0, len(flat), length)] if length else []
    return flat


def _is_plain(value: Any) -> bool:
    try:
        dumps(plain(value))
    except (TypeError, ValueError):
        return False
    return True
