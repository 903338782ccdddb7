/** One setting of a properties file, with the line it began on. */
export interface Property {
  readonly key: string
  readonly value: string
  /** From 1. */
  readonly line: number
}

/** Something wrong with a configuration, with its line; 0 where the fault is that something is missing. */
export interface ConfigProblem {
  readonly line: number
  readonly key: string
  readonly message: string
}

/**
 * Reads Java's properties format, which server.properties is in: `key=value`, `key: value` or `key value`, comments with `#` or `!`,
 * lines continued by a trailing backslash, escapes `\t \n \r \f \uXXXX`. Nothing is refused here: every line means something.
 */
export function parseProperties(text: string): readonly Property[] {
  return logicalLines(text).map(({ content, line }) => ({ ...splitKey(content), line }))
}

function logicalLines(text: string): { content: string; line: number }[] {
  const found: { content: string; line: number }[] = []
  const lines = text.split(/\r\n|\n|\r/)
  for (let at = 0; at < lines.length; at++) {
    const line = at + 1
    let content = (lines[at] as string).replace(/^[ \t\f]+/, '')
    if (content === '' || content.startsWith('#') || content.startsWith('!')) continue
    while (endsInOpenBackslash(content)) {
      content = content.slice(0, -1) + (lines[++at] ?? '').replace(/^[ \t\f]+/, '')
    }
    found.push({ content, line })
  }
  return found
}

function endsInOpenBackslash(content: string): boolean {
  return (/\\*$/.exec(content)?.[0].length ?? 0) % 2 === 1
}

function splitKey(content: string): { key: string; value: string } {
  let end = 0
  while (end < content.length && !' \t\f=:'.includes(content[end] as string)) end += content[end] === '\\' ? 2 : 1
  const rest = content.slice(end).replace(/^[ \t\f]*[=:]?[ \t\f]*/, '')
  return { key: unescape(content.slice(0, end)), value: unescape(rest).trim() }
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', f: '\f' }

function unescape(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|(.))/g, (_, hex: string | undefined, character: string | undefined) =>
    hex === undefined ? (ESCAPES[character ?? ''] ?? character ?? '') : String.fromCharCode(Number.parseInt(hex, 16)),
  )
}
