"""Keras' backends without Keras around them: the GPU's name, and a compiled model on its memory."""

from __future__ import annotations

import keras


def device_names():
    """Names of the GPUs that the backend finds."""
    return {"tensorflow": _tensorflow_names, "jax": _jax_names, "torch": _torch_names}[_backend()]()


def on_device(batch):
    """A batch as a float32 tensor, on the GPU where there is one."""
    return keras.ops.convert_to_tensor(batch, "float32")


def compiled(compute):
    """A function of one tensor, compiled as the backend's users do it; PyTorch runs as it is."""
    if _backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(compute)
    if _backend() == "jax":
        import jax

        return jax.jit(compute)

    def without_gradients(batch):
        import torch

        with torch.no_grad():
            return compute(batch)

    return without_gradients


def _backend():
    return keras.backend.backend()


def _tensorflow_names():
    import tensorflow as tf

    devices = tf.config.list_physical_devices("GPU")
    return [tf.config.experimental.get_device_details(d)["device_name"] for d in devices]


def _jax_names():
    import jax

    return [device.device_kind for device in jax.devices() if device.platform != "cpu"]


def _torch_names():
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
