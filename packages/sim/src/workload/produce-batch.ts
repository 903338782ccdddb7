import type { Codec } from '@millrace/base'
import { encodeBatch, type NewRecord } from '@millrace/records'
import type { ProducerNumbers } from '../seams.ts'
import { encodeValue } from './values.ts'

/** One value of a batch before it is encoded. */
export interface NewValue {
  readonly name: string
  readonly padding: number
}

/** How a batch is written: all its records are of one timestamp. Only idempotent producers number theirs. */
export interface BatchStyle {
  readonly timestampMs: number
  readonly codec: Codec
  readonly numbered?: ProducerNumbers | undefined
}

/** The batch of these values. Every third record has a key, every fifth a header: both follow from the value's name. */
export function encodeValues(values: readonly NewValue[], { timestampMs, codec, numbered }: BatchStyle): Uint8Array {
  const records = values.map(({ name, padding }): NewRecord => {
    const value = encodeValue(name, padding)
    const last = name.charCodeAt(name.length - 1)
    const key = last % 3 === 0 ? Buffer.from(name, 'latin1') : null
    return last % 5 === 0
      ? { timestamp: timestampMs, key, value, headers: [{ key: 'name', value: Buffer.from(name, 'latin1') }] }
      : { timestamp: timestampMs, key, value }
  })
  if (numbered === undefined) return encodeBatch(records, { codec })
  const { producerId, epoch, sequence } = numbered
  return encodeBatch(records, { codec, producerId, producerEpoch: epoch, baseSequence: sequence })
}
