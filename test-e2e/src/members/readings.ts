// What a member of a group has read, in a file that survives its SIGKILL: written before the client may commit it.
import { closeSync, existsSync, openSync, readSync, writeSync } from 'node:fs'

/** One record that was handed to the application. Times are of the wall clock of this machine, in milliseconds. */
export interface Reading {
  readonly atMs: number
  /** When the leader appended it: topics of these tests have `message.timestamp.type=LogAppendTime`. */
  readonly appendedMs: number
  readonly partition: number
  readonly offset: number
  /** What the writer put into it. */
  readonly value: string
}

/** The member's side. */
export class ReadingsWriter {
  private readonly file: number

  constructor(path: string) {
    this.file = openSync(path, 'a')
  }

  /** In the page cache when this returns, which a killed process does not take with it. */
  add({ atMs, appendedMs, partition, offset, value }: Reading): void {
    writeSync(this.file, `${atMs} ${appendedMs} ${partition} ${offset} ${value}\n`)
  }
}

const CHUNK_BYTES = 1 << 20

/** The side of the test: everything that came so far, in the order of reading. */
export class ReadingsFile {
  readonly all: Reading[] = []
  private readonly path: string
  private readonly chunk = Buffer.alloc(CHUNK_BYTES)
  private position = 0
  private partial = ''

  constructor(path: string) {
    this.path = path
  }

  /** Takes what was written since. */
  refresh(): readonly Reading[] {
    if (!existsSync(this.path)) return this.all
    const file = openSync(this.path, 'r')
    try {
      for (;;) {
        const size = readSync(file, this.chunk, 0, CHUNK_BYTES, this.position)
        if (size === 0) return this.all
        this.position += size
        this.take(this.chunk.toString('latin1', 0, size))
      }
    } finally {
      closeSync(file)
    }
  }

  private take(text: string): void {
    const lines = (this.partial + text).split('\n')
    this.partial = lines.pop() ?? ''
    for (const line of lines) {
      const [atMs, appendedMs, partition, offset, value = ''] = line.split(' ')
      this.all.push({
        atMs: Number(atMs),
        appendedMs: Number(appendedMs),
        partition: Number(partition),
        offset: Number(offset),
        value,
      })
    }
  }
}
