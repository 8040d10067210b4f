"""Floor 2: what remembers across steps without gradients."""

from keras_ssl.memory.bank import Bank
from keras_ssl.memory.center import Center
from keras_ssl.memory.clusters import Clusters
from keras_ssl.memory.ema import Ema, ema_update
from keras_ssl.memory.queue import Queue

__all__ = ["Bank", "Center", "Clusters", "Ema", "Queue", "ema_update"]
