import type { Cell } from './run.ts'

const MARK = { ok: 'ok', FAIL: 'FAIL', 'n/a': 'n/a', 'not installed': '-' } as const

/** Rows are features, columns are clients; below it why a cell is not green. */
export function table(cells: readonly Cell[]): string {
  const clients = [...new Set(cells.map(({ client }) => client))]
  const features = [...new Set(cells.map(({ feature }) => feature))]
  const found = new Map(cells.map((cell) => [`${cell.client} ${cell.feature}`, cell]))
  const wide = Math.max(8, ...features.map((name) => name.length))
  const widths = clients.map((name) => Math.max(4, name.length))
  const line = (first: string, rest: readonly string[]): string =>
    [first.padEnd(wide), ...rest.map((text, at) => text.padEnd(widths[at] ?? 0))].join('  ').trimEnd()
  const rows = features.map((feature) =>
    line(
      feature,
      clients.map((client) => {
        const cell = found.get(`${client} ${feature}`)
        return cell === undefined ? '' : MARK[cell.outcome]
      }),
    ),
  )
  return [line('feature', clients), ...rows, '', ...reasons(cells)].join('\n')
}

function reasons(cells: readonly Cell[]): string[] {
  const texts = new Map<string, string[]>()
  for (const { client, feature, outcome, text } of cells) {
    if (outcome === 'ok') continue
    const key = outcome === 'FAIL' ? `FAIL ${client} ${feature}: ${text}` : `${outcome}, ${client}: ${text}`
    const features = texts.get(key) ?? []
    texts.set(key, outcome === 'n/a' ? [...features, feature] : features)
  }
  return [...texts].map(([text, features]) => (features.length === 0 ? text : `${text} (${features.join(', ')})`))
}

/** How many cells came out how, and how long each client took. */
export function summary(cells: readonly Cell[], tookMs: number): string {
  const count = (outcome: Cell['outcome']): number => cells.filter((cell) => cell.outcome === outcome).length
  const clients = [...new Set(cells.map(({ client }) => client))].map((client) => {
    const ms = cells.filter((cell) => cell.client === client).reduce((sum, cell) => sum + cell.ms, 0)
    return `${client} ${(ms / 1000).toFixed(0)} s`
  })
  const counts = `${count('ok')} ok, ${count('FAIL')} failed, ${count('n/a')} n/a, ${count('not installed')} not installed`
  return `${counts} in ${(tookMs / 1000).toFixed(0)} s (${clients.join(', ')})`
}
