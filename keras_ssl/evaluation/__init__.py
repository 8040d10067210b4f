"""Floor 3: protocols that see an encoder, never a method."""

from keras_ssl.evaluation.knn import knn_predict

__all__ = ["knn_predict"]
