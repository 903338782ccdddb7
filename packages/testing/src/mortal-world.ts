import type {
  ByteHandler,
  ByteStream,
  ByteStreams,
  Disk,
  Done,
  File,
  Listener,
  RaftStore,
  RaftStoreFactory,
  Timers,
  World,
} from '@millrace/base'

/** A world that can die as a process dies: from then on nothing that was begun in it completes, and its sockets are closed. */
export interface MortalWorld {
  readonly world: World
  die(): void
}

/** Wraps what outlives a node in this process, so that a killed incarnation is inert. The network between nodes is cut by its owner. */
export function mortalWorld(inner: World): MortalWorld {
  const life = new Life()
  const world: World = {
    ...inner,
    timers: mortalTimers(inner.timers, life),
    disk: mortalDisk(inner.disk, life),
    raftStore: mortalStores(inner.raftStore, life),
    streams: mortalStreams(inner.streams, life),
    compute: { inflate: (codec, bytes, limit, done) => inner.compute.inflate(codec, bytes, limit, life.done(done)) },
  }
  return { world, die: () => life.end() }
}

class Life {
  private alive = true
  private readonly last: (() => void)[] = []

  get over(): boolean {
    return !this.alive
  }

  atEnd(run: () => void): void {
    this.last.push(run)
  }

  end(): void {
    this.alive = false
    for (const run of this.last.splice(0)) run()
  }

  run(callback: () => void): () => void {
    return () => {
      if (this.alive) callback()
    }
  }

  done<T>(callback: Done<T>): Done<T> {
    return (error, value) => {
      if (this.alive) callback(error, value)
    }
  }
}

function mortalTimers(inner: Timers, life: Life): Timers {
  return {
    after: (delayUs, run) => inner.after(delayUs, life.run(run)),
    endOfTurn: (run) => inner.endOfTurn(life.run(run)),
  }
}

function mortalFile(inner: File, life: Life): File {
  return {
    get path() {
      return inner.path
    },
    get size() {
      return inner.size
    },
    appendNow: (parts) => inner.appendNow(parts),
    writeAt: (at, parts, done) => inner.writeAt(at, parts, life.done(done)),
    readNow: (at, into) => inner.readNow(at, into),
    read: (at, into, done) => inner.read(at, into, life.done(done)),
    truncateNow: (size) => inner.truncateNow(size),
    sync: (done) => inner.sync(life.done(done)),
    close: (done) => inner.close(life.done(done)),
  }
}

function mortalDisk(inner: Disk, life: Life): Disk {
  return {
    open: (path, how, done) =>
      inner.open(path, how, (error, file) => {
        if (life.over) return error === null ? file.close(() => undefined) : undefined
        done(error, error === null ? mortalFile(file, life) : file)
      }),
    openNow: (path, how) => mortalFile(inner.openNow(path, how), life),
    renameNow: (from, to) => inner.renameNow(from, to),
    list: (path, done) => inner.list(path, life.done(done)),
    mkdir: (path, done) => inner.mkdir(path, life.done(done)),
    rename: (from, to, done) => inner.rename(from, to, life.done(done)),
    remove: (path, done) => inner.remove(path, life.done(done)),
    syncDir: (path, done) => inner.syncDir(path, life.done(done)),
    freeBytes: (path, done) => inner.freeBytes(path, life.done(done)),
  }
}

function mortalStores(inner: RaftStoreFactory, life: Life): RaftStoreFactory {
  const wrap = (store: RaftStore): RaftStore => ({
    load: (done) => store.load(life.done(done)),
    write: (change, done) => store.write(change, life.done(done)),
    read: (from, to, maxBytes, done) => store.read(from, to, maxBytes, life.done(done)),
    close: (done) => store.close(life.done(done)),
  })
  return {
    open: (path, done) =>
      inner.open(path, (error, store) => {
        if (error !== null) return life.done(done)(error, store)
        life.atEnd(() => store.close(() => undefined))
        life.done(done)(null, wrap(store))
      }),
  }
}

function mortalStreams(inner: ByteStreams, life: Life): ByteStreams {
  const handler = (of: ByteHandler): ByteHandler => ({
    opened: life.run(() => of.opened()),
    data: (chunk) => life.over || of.data(chunk),
    drained: life.run(() => of.drained()),
    closed: (why) => life.over || of.closed(why),
  })
  const open = new Set<ByteStream>()
  life.atEnd(() => {
    for (const stream of open) stream.close()
  })
  return {
    listen: (at, accept, done) => {
      const taken = (stream: ByteStream): ByteHandler => {
        open.add(stream)
        const inside = handler(accept(stream))
        return {
          ...inside,
          closed: (why) => {
            open.delete(stream)
            inside.closed(why)
          },
        }
      }
      inner.listen(at, taken, (error: Parameters<Done<Listener>>[0], listener: Listener) => {
        if (error === null) life.atEnd(() => listener.close(() => undefined))
        if (life.over && error === null) listener.close(() => undefined)
        life.done(done)(error, listener)
      })
    },
    connect: (to, of) => inner.connect(to, handler(of)),
  }
}
