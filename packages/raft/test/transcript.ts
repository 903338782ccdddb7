import { readFileSync, writeFileSync } from 'node:fs'

/**
 * A scenario file: prose in `#` lines, commands in `> ` lines, and below each command what it prints, up to the next empty
 * line or command. Running with MILLRACE_REWRITE=1 writes what the commands print now.
 */
export function runTranscript(
  path: string,
  run: (command: string) => readonly string[],
): { expected: string; actual: string } {
  const expected = readFileSync(path, 'utf8')
  const lines: string[] = []
  let inOutput = false
  for (const line of expected.split('\n')) {
    if (line.startsWith('> ')) {
      lines.push(line, ...run(line.slice(2).trim()))
      inOutput = true
    } else if (line === '' || line.startsWith('#')) {
      lines.push(line)
      inOutput = false
    } else if (!inOutput) throw new Error(`${path}: this line is neither prose nor a command nor output: ${line}`)
  }
  const actual = lines.join('\n')
  if (process.env['MILLRACE_REWRITE'] !== '1') return { expected, actual }
  writeFileSync(path, actual)
  return { expected: actual, actual }
}
