import { streamsContract, TcpStreams, untilReal } from '../src/index.ts'
import type { StreamsHost } from '../src/index.ts'
import { holdTo } from './contracts.ts'

const at = { host: '127.0.0.1', port: 0 }

async function tcpHost(): Promise<StreamsHost> {
  return { acceptor: new TcpStreams(), connector: new TcpStreams(), at, until: untilReal, end: async () => {} }
}

holdTo('byte streams over TCP', streamsContract(tcpHost))
