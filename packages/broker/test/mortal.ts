import type { Disk, Done, File, IoError, Timers } from '@millrace/base'

/** Whether a node still lives: a killed one is called back no more. */
export class Life {
  alive = true

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

export function mortalTimers(inner: Timers, life: Life): Timers {
  return {
    after: (delayUs, run) => inner.after(delayUs, life.run(run)),
    endOfTurn: (run) => inner.endOfTurn(life.run(run)),
  }
}

/** A disk that outlives its node, with faults that a test sets. */
export interface Faults {
  /** Thrown by every append to a log under `under`. */
  append: Error | null
  under: string
  /** The answer to every making of a folder. */
  mkdir: IoError | null
  /** While set, syncs and durable writes wait. */
  held: (() => void)[] | null
}

export function mortalDisk(inner: Disk, life: Life, faults: Faults): Disk {
  const wrap = (file: File): File => ({
    get path() {
      return file.path
    },
    get size() {
      return file.size
    },
    appendNow: (parts) => {
      if (faults.append !== null && file.path.startsWith(faults.under) && file.path.endsWith('.log'))
        throw faults.append
      file.appendNow(parts)
    },
    writeAt: (at, parts, done) => {
      const write = (): void => file.writeAt(at, parts, life.done(done))
      if (faults.held !== null) faults.held.push(write)
      else write()
    },
    readNow: (at, into) => file.readNow(at, into),
    read: (at, into, done) => file.read(at, into, life.done(done)),
    truncateNow: (size) => file.truncateNow(size),
    sync: (done) => {
      const sync = (): void => file.sync(life.done(done))
      if (faults.held !== null) faults.held.push(sync)
      else sync()
    },
    close: (done) => file.close(life.done(done)),
  })
  return {
    open: (path, how, done) =>
      inner.open(
        path,
        how,
        life.done((error, file) => done(error, error === null ? wrap(file) : file)),
      ),
    openNow: (path, how) => wrap(inner.openNow(path, how)),
    renameNow: (from, to) => inner.renameNow(from, to),
    list: (path, done) => inner.list(path, life.done(done)),
    mkdir: (path, done) => {
      const { mkdir } = faults
      if (mkdir !== null) setTimeout(() => life.done(done)(mkdir), 1)
      else inner.mkdir(path, life.done(done))
    },
    rename: (from, to, done) => inner.rename(from, to, life.done(done)),
    remove: (path, done) => inner.remove(path, life.done(done)),
    syncDir: (path, done) => inner.syncDir(path, life.done(done)),
    freeBytes: (path, done) => inner.freeBytes(path, life.done(done)),
  }
}
