// How fast and how dear the replication path between two nodes is: two processes, one stream, frames from the acceptor to the opener
// (a leader's appends) and the other way round, by frame size. Prints MB/s, and CPU seconds per GB of both processes together.
import { fork } from 'node:child_process'
import type { Accepted, Address, PeerHandler, PeerStream } from '@millrace/base'
import { GrpcPeers } from '../src/index.ts'

const SIZES = [16 * 1024, 64 * 1024, 256 * 1024, 1024 * 1024]
const SECONDS = Number(process.env['SECONDS'] ?? 2)

/** Sends frames of one size as fast as the stream takes them, until told to stop. */
class Pump implements PeerHandler {
  stream: PeerStream | null = null
  received = 0
  private size = 0

  opened(): void {}

  frame(bytes: Uint8Array): void {
    this.received += bytes.length
    // A short frame is an order: its number is the size to send, 0 stops.
    if (bytes.length !== 4) return
    this.size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0)
    this.fill()
  }

  drained(): void {
    this.fill()
  }

  closed(): void {
    this.size = 0
  }

  order(size: number): void {
    const bytes = new Uint8Array(4)
    new DataView(bytes.buffer).setUint32(0, size)
    this.stream?.send(bytes)
  }

  run(size: number): void {
    this.size = size
    this.fill()
  }

  private fill(): void {
    while (this.size > 0 && this.stream?.send(Buffer.allocUnsafe(this.size)) === true);
  }
}

function serve(): void {
  const accept = (_hello: Uint8Array, _lane: string, stream: PeerStream): Accepted => {
    const pump = new Pump()
    pump.stream = stream
    return { hello: new Uint8Array(1), handler: pump }
  }
  new GrpcPeers().listen({ host: '127.0.0.1', port: 0 }, accept, (error, listener) => {
    if (error !== null) throw error
    process.send?.(listener.address)
  })
  process.on('message', () => process.send?.(process.cpuUsage()))
}

async function measure(to: Address, cpuOfOther: () => Promise<number>): Promise<void> {
  for (const direction of ['acceptor to opener', 'opener to acceptor'] as const) {
    for (const size of SIZES) {
      const pump = new Pump()
      pump.stream = new GrpcPeers().open(to, 'replication', new Uint8Array(1), pump)
      await sleep(200)
      const before = cpuNow() + (await cpuOfOther())
      const start = performance.now()
      if (direction === 'acceptor to opener') pump.order(size)
      else pump.run(size)
      let sent = 0
      const counter = pump.stream
      const end = start + SECONDS * 1000
      const sends = counter.send.bind(counter)
      counter.send = (frame) => {
        sent += frame.length
        return sends(frame)
      }
      await sleep(end - performance.now())
      const seconds = (performance.now() - start) / 1000
      const cpu = cpuNow() + (await cpuOfOther()) - before
      const moved = (direction === 'acceptor to opener' ? pump.received : sent) / 1e6
      pump.run(0)
      pump.stream.close('measured')
      await sleep(300)
      const perGb = (cpu / moved) * 1000
      process.stdout.write(
        `${direction} ${size / 1024} KB: ${(moved / seconds).toFixed(0)} MB/s, ${perGb.toFixed(2)} CPU s/GB\n`,
      )
    }
  }
}

function cpuNow(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

if (process.send !== undefined) serve()
else {
  const child = fork(import.meta.filename)
  const reply = <T>(): Promise<T> => new Promise((resolve) => child.once('message', (message) => resolve(message as T)))
  const address = await reply<Address>()
  await measure(address, async () => {
    const cpu = reply<NodeJS.CpuUsage>()
    child.send('cpu')
    const { user, system } = await cpu
    return (user + system) / 1e6
  })
  child.kill()
}
