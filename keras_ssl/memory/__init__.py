"""Floor 2: what remembers across steps without gradients."""

from keras_ssl.memory.ema import Ema, ema_update

__all__ = ["Ema", "ema_update"]
