"""What benchmarks/service.py compares with: FastAPI and Keras' `predict`, as recipes have it."""

import io
import os

import keras
import numpy as np
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image

SIZE = (224, 224)


def create_app():
    """Return the application, with the Keras model in the file that MODEL names."""
    model = keras.saving.load_model(os.environ["MODEL"])
    model.predict(np.zeros((1, *SIZE, 3), np.float32), verbose=0)
    app = FastAPI()

    @app.post("/predict")
    async def predict(request: Request):
        return await run_in_threadpool(answer, model, await request.body())

    return app


def answer(model, content):
    """The probabilities of an encoded photograph."""
    image = Image.open(io.BytesIO(content)).convert("RGB").resize(SIZE)
    probabilities = model.predict(np.asarray(image, np.float32)[np.newaxis], verbose=0)[0]
    return {"probabilities": probabilities.tolist()}
