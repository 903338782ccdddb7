import type { ByteStream, ByteStreams } from '@millrace/base'

/** Client connections that wait at the door: taken from the start, so that a taken port shows at once, read once `open` was called. */
export interface GatedStreams {
  readonly streams: ByteStreams
  open(): void
}

/** A node that has not met its cluster has nothing true to say to a client; the client's first request waits instead. */
export function gateStreams(inner: ByteStreams): GatedStreams {
  let waiting: Set<ByteStream> | null = new Set()
  return {
    streams: {
      connect: (to, handler) => inner.connect(to, handler),
      listen: (at, accept, done) =>
        inner.listen(
          at,
          (stream) => {
            const handler = accept(stream)
            if (waiting === null) return handler
            waiting.add(stream)
            stream.pause()
            return {
              opened: () => handler.opened(),
              data: (chunk) => handler.data(chunk),
              drained: () => handler.drained(),
              closed: (why) => {
                waiting?.delete(stream)
                handler.closed(why)
              },
            }
          },
          done,
        ),
    },
    open() {
      const held = waiting ?? []
      waiting = null
      for (const stream of held) stream.resume()
    },
  }
}
