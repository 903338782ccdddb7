// Echoes what it is sent, in a process that may open few files. Prints its port, and dies of anything uncaught.
import { writeSync } from 'node:fs'
import type { ByteHandler, ByteStream } from '@millrace/base'
import { TcpStreams } from '../../src/index.ts'

const accept = (stream: ByteStream): ByteHandler => ({
  opened: () => {},
  data: (chunk) => void stream.write([chunk]),
  drained: () => {},
  closed: () => {},
})
new TcpStreams().listen({ host: '127.0.0.1', port: 0 }, accept, (error, listener) => {
  if (error !== null) throw error
  writeSync(1, `${listener.address.port}\n`)
})
