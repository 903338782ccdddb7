import type { Message } from '@millrace/schema'

/** One of Kafka's APIs: its request and its response, in all versions served. */
export interface Api<Q = unknown, R = unknown> {
  readonly key: number
  readonly name: string
  /** The versions that can be decoded and encoded, both inclusive. */
  readonly versions: readonly [min: number, max: number]
  /** The versions that an ApiVersions response lists. Wider than `versions` only where a client needs it so. */
  readonly advertised: readonly [min: number, max: number]
  /** The first flexible version, or null when none is. */
  readonly flexible: number | null
  readonly request: Message<Q>
  readonly response: Message<R>
}

/** Puts a request and a response together. */
export function api<Q, R>(
  request: Message<Q>,
  response: Message<R>,
  advertised: readonly [min: number, max: number] = request.versions,
): Api<Q, R> {
  const { key, versions, flexible } = request
  if (
    key === null ||
    key !== response.key ||
    flexible !== response.flexible ||
    versions.join() !== response.versions.join()
  )
    throw new RangeError(`${request.name} and ${response.name} do not belong together`)
  return Object.freeze({
    key,
    name: request.name.replace(/Request$/, ''),
    versions,
    advertised,
    flexible,
    request,
    response,
  })
}
