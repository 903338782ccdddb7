// A node that accepts streams on the port that is its argument and tells its parent where, or, with `open` before the port, opens one
// there and tells its parent when it stands.
import type { Accepted } from '@millrace/base'
import { GrpcPeers } from '../../src/index.ts'

const [order = '', port = order] = process.argv.slice(2)
const at = { host: '127.0.0.1', port: Number(port) }
const ignore = { opened: () => {}, frame: () => {}, drained: () => {}, closed: () => {} }

if (order === 'open') {
  new GrpcPeers().open(at, 'control', Buffer.from('hi'), { ...ignore, opened: () => void process.send?.('opened') })
} else {
  const accept = (): Accepted => ({ hello: new Uint8Array([1]), handler: ignore })
  new GrpcPeers().listen(at, accept, (error, listener) => {
    if (error !== null) throw error
    process.send?.(listener.address)
  })
}
