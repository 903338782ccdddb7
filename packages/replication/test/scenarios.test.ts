import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Story } from './story.ts'

const FOLDER = join(import.meta.dirname, 'scenarios')

/**
 * A transcript is prose (lines that begin with #) and blocks: commands, a line of four dashes, and what happened. MILLRACE_REWRITE=1
 * writes down what happens now; read the difference before you commit it.
 */
function replay(text: string): string {
  const story = new Story()
  const blocks = text.trimEnd().split(/\n\n+/)
  return `${blocks.map((block) => replayBlock(story, block)).join('\n\n')}\n`
}

function replayBlock(story: Story, block: string): string {
  const [asked = ''] = block.split(/^----$/m)
  const lines = asked.trimEnd().split('\n')
  const happened: string[] = []
  const commands = lines.filter((line) => !line.startsWith('#') && line.trim() !== '')
  for (const command of commands) happened.push(...story.run(command))
  if (commands.length === 0) return lines.join('\n')
  return [...lines, '----', ...(happened.length === 0 ? ['ok'] : happened)].join('\n')
}

function title(file: string): string {
  return file.replace(/^\d+-/, '').replace('.txt', '').replaceAll('-', ' ')
}

describe('the scenarios, as they are told', () => {
  const files = readdirSync(FOLDER).filter((name) => name.endsWith('.txt'))
  it.each(files.map((file) => ({ file, title: title(file) })))('$title', ({ file }) => {
    const path = join(FOLDER, file)
    if (process.env['MILLRACE_REWRITE'] === '1') writeFileSync(path, replay(readFileSync(path, 'utf8')))
    const told = readFileSync(path, 'utf8')
    expect(replay(told)).toBe(told)
  })
})
