"""The adapter's side of the conversation, for the clients of Python."""

import base64
import json
import sys


def serve(handlers, close):
    """Answers the commands of standard input, one after the other, until it ends."""
    for line in sys.stdin:
        command = json.loads(line)
        number, operation = command.pop("id"), command.pop("operation")
        try:
            if operation not in handlers:
                raise NotImplementedError(f"this client has no {operation}")
            answer = {"id": number, "result": handlers[operation](**command) or {}}
        except Exception as error:  # Whatever the client raises is its answer.
            answer = {"id": number, "error": describe(error)}
        # The suite looks for lines that begin with the id.
        print(json.dumps(answer, separators=(",", ":")), flush=True)
    close()


def describe(error):
    """An error and what caused it: libraries in C report some errors as a SystemError that has the real one inside."""
    own = f"{type(error).__name__}: {error}"
    return own if error.__cause__ is None else f"{own}: {describe(error.__cause__)}"


def bytes_of(text):
    return None if text is None else base64.b64decode(text)


def text_of(data):
    return None if data is None else base64.b64encode(data).decode()


def headers_in(headers):
    return [(name, bytes_of(value)) for name, value in headers]


def record(partition, offset, timestamp, key, value, headers):
    return {
        "partition": partition,
        "offset": offset,
        "timestamp": timestamp,
        "key": text_of(key),
        "value": text_of(value),
        "headers": [[name, text_of(content)] for name, content in headers],
    }
