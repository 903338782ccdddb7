import { styleText } from 'node:util'

const COLOURS = new Map([
  ['debug', 'gray'],
  ['info', 'green'],
  ['warn', 'yellow'],
  ['error', 'red'],
] as const)

/** Turns JSON log lines into lines for people: time of day, level, event, then the fields. */
export class PrettyLines {
  private readonly print: (line: string) => void

  constructor(print: (line: string) => void) {
    this.print = print
  }

  write(line: string): void {
    this.print(prettyLine(line))
  }
}

function prettyLine(line: string): string {
  const { time, level, event, ...fields } = JSON.parse(line) as Record<string, unknown>
  const name = String(level) as 'debug' | 'info' | 'warn' | 'error'
  const shown = styleText(COLOURS.get(name) ?? 'white', name.toUpperCase().padEnd(5))
  const stacks: string[] = []
  let text = `${String(time).slice(11, 23)} ${shown} ${String(event)}`
  for (const [key, value] of Object.entries(fields)) text += ` ${key}=${fieldText(value, stacks)}`
  return `${[text, ...stacks].join('\n')}\n`
}

function fieldText(value: unknown, stacks: string[]): string {
  if (typeof value === 'object' && value !== null && 'stack' in value && 'message' in value) {
    stacks.push(`    ${String(value.stack).replaceAll('\n', '\n    ')}`)
    return JSON.stringify(value.message)
  }
  const text = JSON.stringify(value) ?? 'undefined'
  return typeof value === 'string' && /^[\w.:/@-]+$/.test(value) ? value : text
}
