import { DirectNetwork, GrpcPeers, peersContract, untilReal } from '../src/index.ts'
import type { PeersHost } from '../src/index.ts'
import { holdTo } from './contracts.ts'

const at = { host: '127.0.0.1', port: 0 }

async function grpcHost(): Promise<PeersHost> {
  return { acceptor: new GrpcPeers(), opener: new GrpcPeers(), at, until: untilReal, end: async () => {} }
}

async function directHost(): Promise<PeersHost> {
  const network = new DirectNetwork()
  return { acceptor: network.peers('a'), opener: network.peers('b'), at, until: untilReal, end: async () => {} }
}

holdTo('peers over gRPC', peersContract(grpcHost))
holdTo('peers of one process', peersContract(directHost))
