import type { Reader, Type, Writer } from '@millrace/schema'

const HIGH = 0x1_0000_0000

/**
 * An int64 that is a hash: compared, never counted with. Ours fit into 53 bits and come back as they were; of a foreign one the nearest
 * double is kept, which equals none of ours, so that a group written by other software sees its topics as changed once.
 */
export const hash64: Type<number> = Object.freeze({
  kind: 'int64' as const,
  nullableSince: null,
  element: null,
  fields: null,
  bind: () => ({
    minBytes: 8,
    read(reader: Reader): number {
      const high = reader.int32()
      return high * HIGH + reader.uint32()
    },
    write: (writer: Writer, value: number): void => writer.int64(value),
  }),
})
