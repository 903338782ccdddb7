// A node that accepts streams on the port that is its argument, and tells its parent where.
import type { Accepted } from '@millrace/base'
import { GrpcPeers } from '../../src/index.ts'

const accept = (): Accepted => ({
  hello: new Uint8Array([1]),
  handler: { opened: () => {}, frame: () => {}, drained: () => {}, closed: () => {} },
})
new GrpcPeers().listen({ host: '127.0.0.1', port: Number(process.argv[2]) }, accept, (error, listener) => {
  if (error !== null) throw error
  process.send?.(listener.address)
})
