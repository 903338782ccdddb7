import type { LogLine, ProcessCluster } from './process-cluster.ts'

const LEVELS = ['debug', 'info', 'warn', 'error']

/** Every line that the nodes wrote and that is not one JSON object with level, time, node and event; and all of standard error. */
export function badLines(cluster: ProcessCluster): string[] {
  const bad: string[] = []
  for (const node of cluster.nodes) {
    for (const text of node.output()) {
      const problem = problemOf(text, node.id)
      if (problem !== null) bad.push(`node ${node.id}: ${problem}: ${text.slice(0, 200)}`)
    }
    if (node.errors() !== '') bad.push(`node ${node.id}: standard error: ${node.errors().slice(0, 2_000)}`)
  }
  return bad
}

function problemOf(text: string, id: number): string | null {
  let line: Partial<LogLine>
  try {
    line = JSON.parse(text) as Partial<LogLine>
  } catch {
    return 'no JSON'
  }
  if (!LEVELS.includes(line.level ?? '')) return 'no level'
  if (Number.isNaN(Date.parse(line.time ?? ''))) return 'no time'
  if (line.node !== id) return 'not its node'
  return typeof line.event === 'string' && line.event !== '' ? null : 'no event'
}
