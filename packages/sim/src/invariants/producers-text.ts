// The entries of a `.snapshot` file behind its header, in Kafka's format: producer id int64, epoch int16, last sequence int32, last offset int64, and more.
const HEADER_BYTES = 10
const ENTRY_BYTES = 46

/** What a replica knows of producers: the batches that lie wholly at or above `start`, in the order of the log. */
export function producersFrom(snapshot: Uint8Array | undefined, start: number): string {
  if (snapshot === undefined) return ''
  const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength)
  const entries: { readonly lastOffset: number; readonly text: string }[] = []
  for (let at = HEADER_BYTES; at < view.byteLength; at += ENTRY_BYTES) {
    const lastOffset = Number(view.getBigInt64(at + 14))
    if (lastOffset - view.getInt32(at + 22) < start) continue
    const text = `${view.getBigInt64(at)}/${view.getInt16(at + 8)}: ${view.getInt32(at + 10)} at ${lastOffset}`
    entries.push({ lastOffset, text })
  }
  return entries
    .sort((a, b) => a.lastOffset - b.lastOffset)
    .map(({ text }) => text)
    .join(', ')
}
