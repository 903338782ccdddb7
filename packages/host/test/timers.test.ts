import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { expect, test } from 'vitest'
import { SystemClock, SystemTimers, timersContract, untilReal } from '../src/index.ts'
import type { TimersHost } from '../src/index.ts'
import { holdTo } from './contracts.ts'

async function host(): Promise<TimersHost> {
  const clock = new SystemClock()
  return { clock, timers: new SystemTimers(clock), until: untilReal, end: async () => {} }
}

holdTo('the clock and the timers of the machine', timersContract(host))

test('the end of a turn comes after the data of every socket that was ready in it', async () => {
  const { timers } = await host()
  const count = 20
  const sockets: Socket[] = []
  const server = createServer((socket) => sockets.push(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const clients = Array.from({ length: count }, () => connect(port, '127.0.0.1'))
  await untilReal(() => sockets.length === count, 'all connections')

  const batches: number[] = []
  let inBatch = 0
  for (const socket of sockets) {
    socket.on('data', () => {
      if (inBatch++ === 0) {
        timers.endOfTurn(() => {
          batches.push(inBatch)
          inBatch = 0
        })
      }
    })
  }
  for (const client of clients) client.write('x')
  // All of it is in the kernel before the loop looks at the sockets again.
  const until = performance.now() + 50
  while (performance.now() < until);
  await untilReal(() => batches.reduce((sum, size) => sum + size, 0) === count, 'all data')
  for (const client of clients) client.destroy()
  server.close()
  expect(batches).toEqual([count])
})

test('a callback that throws does not take the others of its turn with it', async () => {
  const { timers } = await host()
  const order: string[] = []
  const thrown: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.once('uncaughtException', (error) => thrown.push(error))
  timers.endOfTurn(() => void order.push('before'))
  timers.endOfTurn(() => {
    throw new Error('on purpose')
  })
  timers.endOfTurn(() => void order.push('after'))
  await untilReal(() => order.length === 2, 'both others')
  for (const listener of listeners) process.on('uncaughtException', listener)
  expect(order).toEqual(['before', 'after'])
  expect(thrown).toEqual([new Error('on purpose')])
})
