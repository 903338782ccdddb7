import { MemoryStreams, streamsContract, TcpStreams, untilReal } from '../src/index.ts'
import type { StreamsHost } from '../src/index.ts'
import { holdTo } from './contracts.ts'

const at = { host: '127.0.0.1', port: 0 }

async function tcpHost(): Promise<StreamsHost> {
  return { acceptor: new TcpStreams(), connector: new TcpStreams(), at, until: untilReal, end: async () => {} }
}

async function memoryHost(): Promise<StreamsHost> {
  const streams = new MemoryStreams()
  return { acceptor: streams, connector: streams, at, until: untilReal, end: async () => {} }
}

holdTo('byte streams over TCP', streamsContract(tcpHost))
holdTo('byte streams in memory', streamsContract(memoryHost))
