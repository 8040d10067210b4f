"""Spherical k-means within a step: static shapes, and the same result everywhere."""

import tensorflow as tf

from keras_ssl.core import randomness

# Rows compared with all centroids at once: 4096 x 3000 cosines are 49 MB.
_CHUNK = 4096


def k_means(
    rows: tf.Tensor, count: int, iterations: int, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Clusters unit vectors by their cosines (Dhillon and Modha 2001).

    Starts from `count` rows drawn without repetition, as facebookresearch/swav
    main_deepclusterv2.py; a cluster that has lost all its rows goes on from a random
    one, where that code leaves its centroid in place. Sums are products of matrices,
    whose order is fixed: replicas that do the same work must not drift apart.

    Args:
        rows: `(n, d)` float32 of length 1, with `n` at least `count`.
        count: Number of clusters.
        iterations: Updates of the centroids, at least 1.
        seed: `(2,)` int32.

    Returns:
        Centroids `(count, d)` of length 1, and for each row its cluster, `(n,)` int32.
    """
    total, width = rows.shape
    size = min(_CHUNK, total)
    parts = -(-total // size)
    # Rows of zeros fill the last part; they have no weight.
    padding = parts * size - total
    chunks = tf.reshape(tf.pad(rows, [[0, padding], [0, 0]]), [parts, size, width])
    weights = tf.reshape(tf.pad(tf.ones([total]), [[0, padding]]), [parts, size])

    def nearest(chunk: tf.Tensor, centroids: tf.Tensor) -> tf.Tensor:
        cosines = tf.matmul(chunk, centroids, transpose_b=True)
        return tf.argmax(cosines, axis=1, output_type=tf.int32)

    def update(i: tf.Tensor, centroids: tf.Tensor) -> tf.Tensor:
        def add(
            part: tf.Tensor, sums: tf.Tensor, counts: tf.Tensor
        ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            chunk = chunks[part]
            member = tf.one_hot(nearest(chunk, centroids), count)
            member *= weights[part][:, None]
            sums += tf.matmul(member, chunk, transpose_a=True)
            return part + 1, sums, counts + tf.reduce_sum(member, axis=0)

        start = (0, tf.zeros([count, width]), tf.zeros([count]))
        _, sums, counts = tf.while_loop(lambda part, *_: part < parts, add, start)
        drawn = tf.cast(
            randomness.uniforms(seed[None], i + 1, count)[0] * total, tf.int32
        )
        sums = tf.where(counts[:, None] > 0, sums, tf.gather(rows, drawn))
        return tf.math.l2_normalize(sums, axis=1)

    # TensorFlow's own generator gives other numbers under XLA.
    noise = randomness.uniforms(seed[None], 0, total)[0]
    centroids = tf.gather(rows, tf.math.top_k(noise, count).indices)
    _, centroids = tf.while_loop(
        lambda i, _: i < iterations,
        lambda i, now: (i + 1, update(i, now)),
        (0, centroids),
    )
    found = tf.map_fn(
        lambda chunk: nearest(chunk, centroids),
        chunks,
        fn_output_signature=tf.TensorSpec([size], tf.int32),
    )
    return centroids, tf.reshape(found, [-1])[:total]
