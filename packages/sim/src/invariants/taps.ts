import type { Entry, Peers, PeerStream, RaftStore, RaftStoreFactory, RaftStoreState, RaftWrite } from '@millrace/base'
import { Hello } from '@millrace/rpc'

/** What a Raft store was asked and what it answered, told before the node hears the answer. */
export interface RaftStoreTap {
  opened(): void
  loaded(state: RaftStoreState): void
  read(entries: readonly Entry[]): void
  writing(change: RaftWrite): void
  written(change: RaftWrite): void
}

/** The same stores, with somebody who listens. */
export function tapRaftStores(stores: RaftStoreFactory, tapOf: () => RaftStoreTap): RaftStoreFactory {
  return {
    open: (path, done) =>
      stores.open(path, (error, store) => {
        if (error !== null) return done(error, store)
        const tap = tapOf()
        tap.opened()
        done(null, tapStore(store, tap))
      }),
  }
}

function tapStore(store: RaftStore, tap: RaftStoreTap): RaftStore {
  return {
    load: (done) =>
      store.load((error, state) => {
        if (error === null) tap.loaded(state)
        done(error, state)
      }),
    write: (change, done) => {
      tap.writing(change)
      store.write(change, (error, value) => {
        if (error === null) tap.written(change)
        done(error, value)
      })
    },
    // oxlint-disable-next-line max-params -- the seam's signature.
    read: (from, to, maxBytes, done) =>
      store.read(from, to, maxBytes, (error, entries) => {
        if (error === null) tap.read(entries)
        done(error, entries)
      }),
    close: (done) => store.close(done),
  }
}

/** A frame leaves a node on a stream between two that have told who they are. `to` is null before the acceptor has. */
export type SentFrame = (from: Hello, to: Hello | null, frame: Uint8Array) => void

/** The same peers, with somebody who listens to what is sent on streams of this purpose. */
export function tapPeers(peers: Peers, purpose: Hello['purpose'], sent: SentFrame): Peers {
  return {
    // oxlint-disable-next-line max-params -- the seam's signature.
    listen: (at, accept, done) =>
      peers.listen(
        at,
        (bytes, lane, stream) => {
          const to = decoded(bytes)
          if (to?.purpose !== purpose) return accept(bytes, lane, stream)
          // The own hello is known only once the stream has been accepted.
          const own: { hello: Hello | null } = { hello: null }
          const answer = accept(
            bytes,
            lane,
            tapStream(stream, (frame) => own.hello && sent(own.hello, to, frame)),
          )
          if ('hello' in answer) own.hello = decoded(answer.hello)
          return answer
        },
        done,
      ),
    open: (to, lane, bytes, handler) => {
      const from = decoded(bytes)
      if (from?.purpose !== purpose) return peers.open(to, lane, bytes, handler)
      let other: Hello | null = null
      const stream = peers.open(to, lane, bytes, {
        opened: (hello) => {
          other = decoded(hello)
          handler.opened(hello)
        },
        frame: (frame) => handler.frame(frame),
        drained: () => handler.drained(),
        closed: (why, detail) => handler.closed(why, detail),
      })
      return tapStream(stream, (frame) => sent(from, other, frame))
    },
    probe: (to, done) => peers.probe(to, done),
  }
}

function tapStream(stream: PeerStream, sent: (frame: Uint8Array) => void): PeerStream {
  return {
    send: (frame) => {
      sent(frame)
      return stream.send(frame)
    },
    sendParts: (parts) => {
      sent(Buffer.concat(parts))
      return stream.sendParts(parts)
    },
    get queuedBytes() {
      return stream.queuedBytes
    },
    close: (reason) => stream.close(reason),
  }
}

function decoded(bytes: Uint8Array): Hello | null {
  try {
    return Hello.decode(bytes)
  } catch {
    return null
  }
}
