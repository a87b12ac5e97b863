"""A service that classifies photographs: encoded bytes in, names and probabilities out.

Run it with ``MODEL=/path/to/photos.skltransfer uvicorn service:create_app --factory``, and ask it
with ``curl --data-binary @photo.jpg localhost:8000/predict``.
"""

import asyncio
import io
import os
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image

import skltransfer

MAX_BYTES = 10_000_000
AT_ONCE = os.cpu_count() or 1  # images that are classified at the same time
MOST_WAITING = 50  # further requests are refused immediately, before their clients time out


def create_app(path=None):
    """Return the application; its classifier is loaded from a file that `save` has written."""
    path = path or os.environ.get("MODEL")
    if not path:
        raise SystemExit("Set MODEL to the path of a file that save() wrote: photos.skltransfer.")

    @asynccontextmanager
    async def lifespan(app):
        classifier = skltransfer.load(path)
        # Broken images are errors, and clients rarely send the same image twice.
        classifier.set_params(on_error="raise", cache=None, n_jobs=1, verbose=0)
        classifier.predict_proba([_any_image()])  # the first call compiles the network
        app.state.classifier = classifier
        app.state.free = asyncio.Semaphore(AT_ONCE)
        app.state.waiting = 0
        yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/ready")
    async def ready(request: Request):
        """Return the classes; the port is closed until the classifier has predicted once."""
        return {"classes": request.app.state.classifier.classes_.tolist()}

    @app.post("/predict")
    async def predict(request: Request):
        state = request.app.state
        if state.waiting >= MOST_WAITING:
            raise HTTPException(503, "Too many requests. Try again.", {"Retry-After": "1"})
        state.waiting += 1
        try:
            image = await _limited_body(request)
            async with state.free:
                return await run_in_threadpool(_answer, state.classifier, image)
        finally:
            state.waiting -= 1

    return app


async def _limited_body(request):
    """Return the bytes of the request; stop reading as soon as there are too many."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise HTTPException(413, f"At most {MAX_BYTES:,} bytes are read.")
    return bytes(body)


def _answer(classifier, image):
    try:
        (probabilities,) = classifier.predict_proba([image])
    except skltransfer.ImageReadError as error:
        raise HTTPException(422, error.reason) from error
    names = classifier.classes_.tolist()
    found = dict(zip(names, probabilities.tolist(), strict=True))
    return {"class": max(found, key=found.get), "probabilities": found}


def _any_image():
    file = io.BytesIO()
    Image.new("RGB", (64, 64)).save(file, "PNG")
    return file.getvalue()
