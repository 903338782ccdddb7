import { crc32 } from 'node:zlib'
import { isUuid, readSmallFile, replaceSmallFile, type Disk, type Done, type Uuid, type VoterId } from '@millrace/base'

/** How a cluster began. Every member keeps it, so that each can tell it to one that is still blank. */
export interface Formation {
  readonly clusterId: Uuid
  readonly voters: readonly VoterId[]
}

/**
 * Who this node is to the others. It is written after the store's first write and before the first message, so a store that is
 * blank although this file is there has lost what it held.
 */
export interface Identity {
  /** The metadata directory's id, or another one that was drawn because the store had forgotten its promises. */
  readonly directoryId: Uuid
  readonly clusterId: Uuid
  /** Null when this node joined with a store that had lost it. */
  readonly formation: Formation | null
  /** The folder of the Raft store, in the quorum's. An identity that takes over from a forgetful one begins with a new store. */
  readonly store: string
}

/** The folder of a node's first store. */
export const FIRST_STORE = 'raft'

const NAME = 'quorum-identity.json'
const VERSION = 1

export type IdentityAnswer =
  | { readonly kind: 'absent' }
  | { readonly kind: 'read'; readonly identity: Identity }
  /** Half written or flipped: who this node was is unknown. */
  | { readonly kind: 'damaged' }
  | { readonly kind: 'future'; readonly version: number }

export function readIdentity(disk: Disk, directory: string, done: Done<IdentityAnswer>): void {
  readSmallFile(disk, `${directory}/${NAME}`, (error, content) => {
    if (error !== null) return done(error, { kind: 'absent' })
    done(null, content === null ? { kind: 'absent' } : parse(content))
  })
}

export function writeIdentity(disk: Disk, directory: string, identity: Identity, done: Done<void>): void {
  const { directoryId, clusterId, formation, store } = identity
  const checksum = checksumOf(identity)
  const text = `${JSON.stringify({ version: VERSION, directoryId, clusterId, formation, store, checksum }, null, 2)}\n`
  replaceSmallFile(disk, directory, NAME, new TextEncoder().encode(text))(done)
}

function parse(content: Uint8Array): IdentityAnswer {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(content))
  } catch {
    return { kind: 'damaged' }
  }
  if (!isObject(value) || typeof value['version'] !== 'number') return { kind: 'damaged' }
  if (value['version'] > VERSION) return { kind: 'future', version: value['version'] }
  const { directoryId, clusterId, store } = value
  const formation = value['formation'] === null ? null : parseFormation(value['formation'])
  if (!isId(directoryId) || !isId(clusterId) || formation === undefined) return { kind: 'damaged' }
  if (typeof store !== 'string' || !/^raft[A-Za-z0-9_-]*$/.test(store)) return { kind: 'damaged' }
  const identity = { directoryId, clusterId, formation, store }
  return value['checksum'] === checksumOf(identity) ? { kind: 'read', identity } : { kind: 'damaged' }
}

/** A flipped bit makes another id of an id: who is somebody else by it must not vote, and would never be let in. */
function checksumOf({ directoryId, clusterId, formation, store }: Identity): number {
  return crc32(JSON.stringify([directoryId, clusterId, formation, store]))
}

function parseFormation(value: unknown): Formation | undefined {
  if (!isObject(value) || !isId(value['clusterId']) || !Array.isArray(value['voters'])) return undefined
  const voters: VoterId[] = []
  for (const voter of value['voters'] as unknown[]) {
    if (!isObject(voter) || !Number.isSafeInteger(voter['id']) || !isId(voter['directoryId'])) return undefined
    voters.push({ id: voter['id'] as number, directoryId: voter['directoryId'] })
  }
  return { clusterId: value['clusterId'], voters }
}

function isId(value: unknown): value is Uuid {
  return typeof value === 'string' && isUuid(value)
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
