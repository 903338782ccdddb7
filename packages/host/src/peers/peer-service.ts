import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { loadPackageDefinition } from '@grpc/grpc-js'
import type { ChannelOptions, MethodDefinition, ServiceClientConstructor, ServiceDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { assert } from '@millrace/base'
import type { Lane } from '@millrace/base'
import { FrameParts } from './frame-parts.ts'

/** The largest frame, both ways. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024
/**
 * What an acceptor may have under way to an opener. The other direction keeps HTTP/2's 64 KB. Both are so on purpose: Node's HTTP/2 does
 * not read from a connection while a write to it is held up. Two sides that both may send more than the kernel's buffers take would wait
 * for each other for ever, so one direction must always fit. And while an acceptor's write is held up it hears no acks, so a window
 * that the kernel takes at once keeps acks fast (measured under full load: 0.5 ms at 512 KB, 10 ms at 8 MB) and costs no throughput
 * where a round trip is 1 ms or less. Bulk flows from the acceptor to the opener: a follower opens to its leader, a learner to who
 * has the snapshot.
 */
const OPENER_WINDOW_BYTES = 512 * 1024

/** Options of both ends of a stream between nodes. */
const COMMON_OPTIONS: ChannelOptions = {
  'grpc.max_send_message_length': MAX_FRAME_BYTES,
  'grpc.max_receive_message_length': MAX_FRAME_BYTES,
  // A host that vanished without a word is noticed after the sum of the two.
  'grpc.keepalive_time_ms': 5000,
  'grpc.keepalive_timeout_ms': 3000,
  'grpc.enable_channelz': 0,
}

/** Options of a channel: one dial, no retries, no proxy, nothing that holds frames back. */
export const CHANNEL_OPTIONS: ChannelOptions = {
  ...COMMON_OPTIONS,
  'grpc-node.flow_control_window': OPENER_WINDOW_BYTES,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 1000,
  'grpc.enable_retries': 0,
  // A frame in the retry buffer counts as written at once, which would undo the back-pressure.
  'grpc.per_rpc_retry_buffer_size': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
}

/** Options of a server. */
export const SERVER_OPTIONS: ChannelOptions & { readonly 'grpc.max_connection_idle_ms': number } = {
  ...COMMON_OPTIONS,
  'grpc.max_concurrent_streams': 16,
  'grpc.max_connection_idle_ms': 10_000,
}

const METHODS: Readonly<Record<Lane, string>> = { control: 'Control', replication: 'Replication', bulk: 'Bulk' }

export type FrameMethod = MethodDefinition<Uint8Array, Uint8Array>

/** The service of proto/millrace/peer.proto with frames as plain bytes, by lane. */
export function peerService(): Record<Lane, FrameMethod> & ServiceDefinition {
  const loaded = loadPackageDefinition(loadSync(peerProtoPath()))
  const { service } = (loaded['millrace'] as Record<string, ServiceClientConstructor>)[
    'Peer'
  ] as ServiceClientConstructor
  const method = (lane: Lane): FrameMethod => ({
    ...(service[METHODS[lane]] as FrameMethod),
    requestSerialize: asBuffer,
    requestDeserialize: asIs,
    responseSerialize: asSent,
    responseDeserialize: asIs,
  })
  return { control: method('control'), replication: method('replication'), bulk: method('bulk') }
}

/** Where the proto file is: in the package, where the build copies it to, or in the checkout that the package is part of. */
export function peerProtoPath(): string {
  const places = ['../../proto/millrace/peer.proto', '../../../../proto/millrace/peer.proto']
  const paths = places.map((place) => fileURLToPath(new URL(place, import.meta.url)))
  const path = paths.find(existsSync)
  assert(path !== undefined, `peer.proto is in none of ${paths.join(', ')}`)
  return path
}

function asBuffer(frame: Uint8Array): Buffer {
  return Buffer.isBuffer(frame) ? frame : Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
}

/** gRPC's server only asks what it is given for its length, and to copy itself. */
function asSent(frame: Uint8Array | FrameParts): Buffer {
  return frame instanceof FrameParts ? (frame as unknown as Buffer) : asBuffer(frame)
}

function asIs(bytes: Buffer): Uint8Array {
  return bytes
}
