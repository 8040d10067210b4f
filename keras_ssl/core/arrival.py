"""How the workers of a run come together, at the address of the chief."""

import socket
import time

from keras_ssl.core.cluster import Cluster
from keras_ssl.core.line import Line, Message

# Seconds for a word that is due at once.
_SOON = 5.0


def gather(cluster: Cluster, timeout: float) -> dict[int, Line]:
    """The chief's part: waits for all others.

    Args:
        cluster: Who they are.
        timeout: Seconds to wait, and how long lines may be silent.

    Returns:
        A line to each of them, by number.

    Raises:
        ConnectionError: If one does not arrive, here and at those that did.
        ValueError: If one of them does not belong.
    """
    lines: dict[int, Line] = {}
    try:
        _fill(lines, cluster, timeout)
    except Exception as error:
        for line in lines.values():
            line.send({"failed": str(error)})
        raise
    for line in lines.values():
        line.send({"go": True})
    return lines


def _fill(lines: dict[int, Line], cluster: Cluster, timeout: float) -> None:
    count, deadline = len(cluster.addresses), time.monotonic() + timeout
    with _listener(cluster) as listener:
        # Whoever came and went may come again.
        while missing := [
            i for i in range(1, count) if i not in lines or lines[i].ended()
        ]:
            listener.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                line = Line(listener.accept()[0], timeout)
            except TimeoutError:
                who = _capital(" and ".join(map(cluster.name, missing)))
                raise ConnectionError(
                    f"{who} did not arrive within {timeout:g} s. Start all workers, "
                    "or raise --worker_timeout."
                ) from None
            _admit(lines, line, cluster)


def _admit(lines: dict[int, Line], line: Line, cluster: Cluster) -> None:
    """Lets a worker in that is one of them."""
    hello = line.receive(_SOON) or {}
    who = int(hello.get("worker", 0))
    if who not in range(1, len(cluster.addresses)):
        # Somebody knocked at the wrong door.
        line.close()
        return
    before = lines.get(who)
    lines[who] = line
    if hello.get("addresses") != list(cluster.addresses):
        raise ValueError(
            f"TF_CONFIG names other workers at {cluster.name(who)} than at the chief. "
            "Its 'cluster' must be the same everywhere."
        )
    if before is not None and not before.ended():
        sentence = (
            f"Two processes say that they are {cluster.name(who)}. Give each its own "
            "'index' in the 'task' of TF_CONFIG."
        )
        before.send({"failed": sentence})
        raise ValueError(sentence)


def _listener(cluster: Cluster) -> socket.socket:
    host, port = _split(cluster.addresses[0])
    problem = ""
    # Seen from inside a container the chief's address may not be its own.
    for name in (host, ""):
        try:
            return socket.create_server((name, port), backlog=len(cluster.addresses))
        except OSError as error:
            problem = problem or error.strerror or str(error)
    raise ConnectionError(
        f"The chief cannot listen at {cluster.addresses[0]} ({problem}). Is another "
        "run using it?"
    )


def join(cluster: Cluster, timeout: float) -> dict[int, Line]:
    """The part of all others: tells the chief that this worker is there.

    Args:
        cluster: Who they are.
        timeout: Seconds to wait for the chief, and then for its answer.

    Returns:
        The line to the chief, by its number 0.

    Raises:
        ConnectionError: If the chief does not answer, or says that it cannot be.
    """
    deadline, problem = time.monotonic() + timeout, "no time"
    hello = {"worker": cluster.index, "addresses": list(cluster.addresses)}
    while (left := deadline - time.monotonic()) > 0:
        found = _knock(_split(cluster.addresses[0]), hello, timeout, left)
        if isinstance(found, str):
            problem = found
            time.sleep(0.2)
            continue
        line, answer = found
        if "failed" in answer:
            raise ConnectionError(answer["failed"])
        return {0: line}
    raise ConnectionError(
        f"{_capital(cluster.name(0))}, the first of all, did not answer within "
        f"{timeout:g} s ({problem}). Is it started, and its address right?"
    )


def _knock(
    address: tuple[str, int], hello: Message, timeout: float, left: float
) -> tuple[Line, Message] | str:
    """A line to the chief and its answer, or why there is none."""
    try:
        line = Line(socket.create_connection(address, min(_SOON, left)), timeout)
    except OSError as error:
        return error.strerror or str(error)
    line.send(hello)
    # The chief may have begun to wait just now.
    answer = line.receive(timeout + _SOON)
    if answer is None:
        line.close()
        return "it closed the connection"
    return line, answer


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
