import { UsageError } from './failure.ts'

const NEWLINE = 0x0a
/** More than a broker takes in one request. */
const MAX_LINE_BYTES = 100 * 1024 * 1024

/**
 * The lines of a stream as their bytes, without the newline: those of one chunk at a time, and no chunk is read before it is asked for.
 * The last line needs no newline. Throws `UsageError` for a line that no record can hold.
 */
export async function* inputLines(input: AsyncIterable<Buffer>): AsyncGenerator<readonly Buffer[]> {
  let open: Buffer[] = []
  let openBytes = 0
  for await (const chunk of input) {
    const lines: Buffer[] = []
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
      const piece = chunk.subarray(from, end)
      lines.push(open.length === 0 ? piece : Buffer.concat([...open, piece]))
      open = []
      openBytes = 0
      from = end + 1
    }
    if (from < chunk.length) open.push(chunk.subarray(from))
    openBytes += chunk.length - from
    if (openBytes > MAX_LINE_BYTES)
      throw new UsageError(
        `standard input has a line of more than ${MAX_LINE_BYTES} bytes`,
        'Each line becomes one record: put newlines between them.',
      )
    if (lines.length > 0) yield lines
  }
  if (openBytes > 0) yield [Buffer.concat(open)]
}
