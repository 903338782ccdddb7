import { once } from 'node:events'

/** Prints one value as a line of JSON. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

/** Prints rows under their titles, columns aligned; numbers to the right. */
export function printTable(titles: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const widths = titles.map((title, at) => Math.max(title.length, ...rows.map((row) => String(row[at] ?? '').length)))
  const line = (cells: readonly (string | number)[]): string =>
    cells
      .map((cell, at) =>
        typeof cell === 'number' ? String(cell).padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join('  ')
      .trimEnd()
  process.stdout.write(`${[titles, ...rows].map(line).join('\n')}\n`)
}

/** A column as wide as `width`, or as its longest cell where it `grows`; without a width it is not filled up, and no column follows it. */
export interface Column {
  readonly title: string
  readonly width?: number
  readonly grows?: boolean
}

/** Rows under their titles in the layout of Kafka's own tools, byte for byte: scripts that read those read these. A missing value is a dash. */
export function kafkaLines(
  columns: readonly Column[],
  rows: readonly (readonly (string | number | null)[])[],
): readonly string[] {
  const texts = [columns.map(({ title }) => title), ...rows.map((row) => row.map((cell) => String(cell ?? '-')))]
  const widths = columns.map(({ width = 0, grows = false }, at) =>
    Math.max(width, ...(grows ? texts.map((row) => row[at]?.length ?? 0) : [])),
  )
  return texts.map((row) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' '))
}

/** Text with the lines of a box around it, as wide as its widest line. */
export function box(lines: readonly string[]): string {
  const width = Math.max(...lines.map((line) => line.length))
  const rule = '─'.repeat(width + 2)
  return [`╭${rule}╮`, ...lines.map((line) => `│ ${line.padEnd(width)} │`), `╰${rule}╯`].join('\n')
}

/** A reader that has seen enough (`| head`) closes the pipe: that is no failure of ours. */
export function endQuietlyWithoutReader(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    process.stderr.write(`standard output: ${error.message}\n`)
    process.exit(1)
  })
}

/** Writes all of it; resolves when there is room for more. */
export async function writeOut(bytes: string | Uint8Array): Promise<void> {
  if (!process.stdout.write(bytes)) await once(process.stdout, 'drain')
}
