// How long a small frame takes to a node that is sending large ones over the same stream as fast as it can: a follower's ack to its
// leader. Two processes; the delay is one way, by the machine's monotonic clock.
import { fork } from 'node:child_process'
import type { Accepted, Address, PeerHandler, PeerStream } from '@millrace/base'
import { GrpcPeers } from '../src/index.ts'

const SECONDS = Number(process.env['SECONDS'] ?? 2)
const nothing = (): void => {}

/** Sends frames of the size that the first frame asks for, and notes the delay of every other frame. */
function leader(stream: PeerStream, delays: number[]): PeerHandler {
  let size = 0
  const fill = (): void => {
    if (size === 0) return
    while (stream.send(Buffer.allocUnsafe(size)));
  }
  const frame = (bytes: Uint8Array): void => {
    const view = new DataView(bytes.buffer, bytes.byteOffset)
    if (bytes.length === 4) {
      size = view.getUint32(0)
      fill()
    } else delays.push(Number(process.hrtime.bigint() - view.getBigUint64(0)) / 1e6)
  }
  return { opened: nothing, frame, drained: fill, closed: () => void (size = 0) }
}

function serve(): void {
  let delays: number[] = []
  const accept = (_hello: Uint8Array, _lane: string, stream: PeerStream): Accepted => {
    delays = []
    return { hello: new Uint8Array(1), handler: leader(stream, delays) }
  }
  new GrpcPeers().listen({ host: '127.0.0.1', port: 0 }, accept, (error, listener) => {
    if (error !== null) throw error
    process.send?.(listener.address)
  })
  process.on('message', () => process.send?.(delays))
}

async function measure(to: Address, size: number, delaysOfOther: () => Promise<number[]>): Promise<void> {
  let received = 0
  const frame = (bytes: Uint8Array): void => void (received += bytes.length)
  const handler = { opened: nothing, frame, drained: nothing, closed: nothing }
  const stream = new GrpcPeers().open(to, 'replication', new Uint8Array(1), handler)
  const order = Buffer.alloc(4)
  order.writeUInt32BE(size)
  stream.send(order)
  const acks = setInterval(() => {
    const ack = Buffer.alloc(8)
    ack.writeBigUInt64BE(process.hrtime.bigint())
    stream.send(ack)
  }, 3)
  await new Promise((resolve) => setTimeout(resolve, SECONDS * 1000))
  clearInterval(acks)
  const delays = (await delaysOfOther()).sort((a, b) => a - b)
  stream.close('measured')
  const at = (share: number): string => (delays[Math.floor(delays.length * share)] ?? 0).toFixed(2)
  const rate = (received / 1e6 / SECONDS).toFixed(0)
  process.stdout.write(`frames of ${size / 1024} KB: ${rate} MB/s, acks median ${at(0.5)} ms, p99 ${at(0.99)} ms\n`)
}

if (process.send !== undefined) serve()
else {
  const child = fork(import.meta.filename)
  const reply = <T>(): Promise<T> => new Promise((resolve) => child.once('message', (message) => resolve(message as T)))
  const address = await reply<Address>()
  const delays = (): Promise<number[]> => {
    const answer = reply<number[]>()
    child.send('delays')
    return answer
  }
  for (const size of [0, 64 * 1024, 1024 * 1024]) await measure(address, size, delays)
  child.kill()
}
