/** What a key, a value or a header may be given as. Text is sent as UTF-8. */
export type Data = string | Uint8Array

/** A record to be produced. A null value is a tombstone on a compacted topic. */
export interface ProducerRecord {
  readonly topic: string
  readonly key?: Data | null
  readonly value: Data | null
  readonly headers?: Readonly<Record<string, Data | null>>
  /** Chosen by the key where it is left out, and spread by batches where there is no key. */
  readonly partition?: number
  /** Milliseconds since 1970; now where it is left out. */
  readonly timestamp?: number
}

/** Where a record ended up. `offset` is -1 with acks 0. */
export interface SentRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
}

/** A record that was read. Bytes are views: copy them to keep them longer than the iteration step. */
export interface ConsumedRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly { readonly key: string; readonly value: Uint8Array | null }[]
}

/** UTF-8 bytes of text; bytes as they are. */
export function toBytes(data: Data | null | undefined): Uint8Array | null {
  if (data === null || data === undefined) return null
  return typeof data === 'string' ? Buffer.from(data, 'utf8') : data
}
