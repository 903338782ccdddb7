import type { Address } from '@millrace/base'

/** One `NAME://host:port`; the host is empty where the file leaves it out. */
export interface ParsedListener {
  readonly name: string
  readonly host: string
  readonly port: number
}

export type AdvertisedListener = ParsedListener

/** Reads `listeners` and `advertised.listeners`. */
export function parseListeners(text: string): { listeners: readonly ParsedListener[]; problems: readonly string[] } {
  const listeners: ParsedListener[] = []
  const problems: string[] = []
  for (const item of items(text)) {
    const match = /^([A-Za-z0-9_.-]+):\/\/(\[[0-9a-fA-F:.]+\]|[^:/]*):(\d+)$/.exec(item)
    const port = Number(match?.[3])
    if (match === null || port > 65_535) problems.push(`"${item}" is not NAME://host:port`)
    else if (listeners.some(({ name }) => name === match[1]?.toUpperCase()))
      problems.push(`listener ${match[1]} appears twice`)
    else
      listeners.push({
        name: (match[1] as string).toUpperCase(),
        host: (match[2] as string).replace(/^\[|\]$/g, ''),
        port,
      })
  }
  return { listeners, problems }
}

/** Reads `listener.security.protocol.map`: `NAME:PROTOCOL`, separated by commas. */
export function parseProtocolMap(text: string): { map: ReadonlyMap<string, string>; problems: readonly string[] } {
  const map = new Map<string, string>()
  const problems: string[] = []
  for (const item of items(text)) {
    const [name = '', protocol = '', ...rest] = item.split(':')
    if (name === '' || protocol === '' || rest.length > 0) problems.push(`"${item}" is not NAME:PROTOCOL`)
    else map.set(name.toUpperCase(), protocol.toUpperCase())
  }
  return { map, problems }
}

/** Reads `controller.quorum.voters`: `id@host:port`, separated by commas. */
export function parseVoters(text: string): {
  voters: readonly { id: number; address: Address }[]
  problems: readonly string[]
} {
  const voters: { id: number; address: Address }[] = []
  const problems: string[] = []
  for (const item of items(text)) {
    const match = /^(\d+)@(\[[0-9a-fA-F:.]+\]|[^:@]+):(\d+)$/.exec(item)
    const [id, port] = [Number(match?.[1]), Number(match?.[3])]
    if (match === null || port > 65_535 || port === 0) problems.push(`"${item}" is not id@host:port`)
    else if (voters.some((voter) => voter.id === id)) problems.push(`voter ${id} appears twice`)
    else voters.push({ id, address: { host: (match[2] as string).replace(/^\[|\]$/g, ''), port } })
  }
  if (voters.length === 0 && problems.length === 0) problems.push('controller.quorum.voters is empty')
  return { voters, problems }
}

/** Reads `http.listener`: `host:port`, or `:port` for all interfaces. Null when it is neither. */
export function parseHttpListener(text: string): Address | null {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:/\s]*):(\d+)$/.exec(text.trim())
  const port = Number(match?.[2])
  if (match === null || port > 65_535) return null
  const host = (match[1] as string).replace(/^\[|\]$/g, '')
  return { host: host === '' ? '0.0.0.0' : host, port }
}

/** Hosts that mean every interface: nobody can connect to them. */
export const EVERYWHERE: readonly string[] = ['', '0.0.0.0', '::']

function items(text: string): readonly string[] {
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}
