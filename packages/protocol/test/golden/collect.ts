// `node collect.ts IN.jsonl > frames.txt`: from the lines of `record.ts`, the shortest two frames of each kind that differ in length. A kind
// is API, version, direction and client; records and long lists would only repeat what two frames show.
import { readFileSync } from 'node:fs'
import { apiByKey } from '../../src/index.ts'

interface Recorded {
  readonly key: number
  readonly version: number
  readonly direction: 'request' | 'response'
  readonly client: string
  readonly hex: string
}

const KEEP = 2
const LONGEST = 6000

const kinds = new Map<string, Recorded[]>()
for (const line of readFileSync(process.argv[2] as string, 'utf8').split('\n')) {
  if (line === '') continue
  const frame = JSON.parse(line) as Recorded
  if (apiByKey(frame.key) === undefined) continue
  const kind = [frame.key, frame.version, frame.direction, frame.client].join(' ')
  const known = kinds.get(kind) ?? []
  kinds.set(kind, known)
  if (!known.some(({ hex }) => hex.length === frame.hex.length)) known.push(frame)
}

const kept = [...kinds.values()].flatMap((frames) =>
  frames
    .sort((a, b) => a.hex.length - b.hex.length)
    .slice(0, KEEP)
    .filter(({ hex }, i) => i === 0 || hex.length <= LONGEST),
)
kept.sort(
  (a, b) =>
    a.key - b.key ||
    a.version - b.version ||
    a.direction.localeCompare(b.direction) ||
    a.client.localeCompare(b.client),
)
for (const { key, version, direction, client, hex } of kept)
  process.stdout.write(`${key} ${version} ${direction} ${client} ${hex}\n`)
