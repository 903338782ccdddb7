import { BROKER_KEYS, type Address, type ConfigKey } from '@millrace/base'
import type { BrokerListenerConfig } from '@millrace/broker'
import {
  type AdvertisedListener,
  EVERYWHERE,
  parseHttpListener,
  parseListeners,
  type ParsedListener,
  parseProtocolMap,
  parseVoters,
} from './listeners.ts'
import { type ConfigProblem, parseProperties, type Property } from './properties.ts'

/** Everything that one node is started from, validated. */
export interface NodeConfig {
  readonly nodeId: number
  readonly broker: boolean
  readonly controller: boolean
  /** The controller quorum as configured. */
  readonly voters: readonly { readonly id: number; readonly address: Address }[]
  /** Where nodes reach this node: bound, and told to others. */
  readonly peer: { readonly bind: Address; readonly advertised: Address }
  /** Client listeners; empty on a node that is only a controller. */
  readonly listeners: readonly BrokerListenerConfig[]
  /** Where the broker's HTTP endpoint is bound, and what others are told of it; null without one. */
  readonly http: { readonly bind: Address; readonly advertised: Address } | null
  readonly logDirs: readonly string[]
  /** The folder of the metadata log: one of `logDirs` unless the file names another. */
  readonly metadataDir: string
  readonly rack: string | null
  readonly flushMode: 'fsync' | 'pagecache'
  /** Every key that was set, as text. */
  readonly properties: ReadonlyMap<string, string>
  /** The value of a key: as set, else its default. Throws `RangeError` for a key that is not declared. */
  readonly number: (key: string) => number
}

export interface ReadConfig {
  /** Null when there are problems. */
  readonly config: NodeConfig | null
  /** All that is wrong, in the order of the file. */
  readonly problems: readonly ConfigProblem[]
  /** Kafka's keys that were set and have no effect here. */
  readonly withoutEffect: readonly string[]
}

const KEY_PREFIXES_WITHOUT_EFFECT = [
  'listener.name.',
  'ssl.',
  'sasl.',
  'config.providers.',
  'metric.reporters.',
  'confluent.',
  'zookeeper.',
]

/**
 * Reads a server.properties. `hostname` is what clients are told where a listener names no host. All problems come at once, each with
 * its line; a key that Kafka knows and that has no effect here is only listed.
 */
export function readNodeConfig(text: string, hostname: string): ReadConfig {
  const reader = new Reader(parseProperties(text), hostname)
  return reader.read()
}

class Reader {
  private readonly problems: ConfigProblem[] = []
  private readonly withoutEffect: string[] = []
  private readonly set = new Map<string, Property>()
  private readonly entries: readonly Property[]
  private readonly hostname: string

  constructor(entries: readonly Property[], hostname: string) {
    this.entries = entries
    this.hostname = hostname
  }

  read(): ReadConfig {
    for (const entry of this.entries) this.take(entry)
    const config = this.build()
    this.problems.sort((a, b) => a.line - b.line)
    return {
      config: this.problems.length === 0 ? config : null,
      problems: this.problems,
      withoutEffect: this.withoutEffect,
    }
  }

  private take(entry: Property): void {
    const key =
      entry.key === 'broker.id'
        ? 'node.id'
        : entry.key === 'log.dir' && !this.set.has('log.dirs')
          ? 'log.dirs'
          : entry.key
    const declared = BROKER_KEYS.get(key)
    if (declared === undefined) {
      if (KEY_PREFIXES_WITHOUT_EFFECT.some((prefix) => entry.key.startsWith(prefix))) this.withoutEffect.push(entry.key)
      else this.problem(entry, `unknown key "${entry.key}"${suggestion(entry.key)}`)
      return
    }
    const problem = declared.problem(entry.value)
    if (problem !== null) this.problem(entry, `${entry.key}=${entry.value}: ${problem}`)
    else if (declared.effect === 'none') this.withoutEffect.push(entry.key)
    // The last setting of a key wins, as in Java's properties.
    this.set.set(key, { ...entry, key })
  }

  private problem(entry: { key: string; line: number }, message: string): void {
    this.problems.push({ line: entry.line, key: entry.key, message })
  }

  private missing(key: string, message: string): void {
    this.problems.push({ line: this.set.get(key)?.line ?? 0, key, message })
  }

  private text(key: string): string | null {
    return this.set.get(key)?.value ?? declaredKey(key).default
  }

  private list(key: string): readonly string[] {
    return (this.text(key) ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '')
  }

  private number = (key: string): number => Number(this.text(key))

  private build(): NodeConfig | null {
    const nodeId = this.nodeId()
    const roles = this.roles()
    const voters = this.voters()
    const { own, peer } = this.listeners(roles)
    const http = this.http(own[0])
    const logDirs = this.list('log.dirs')
    if (logDirs.length === 0)
      this.missing(
        'log.dirs',
        'log.dirs is missing: name the folder that keeps the data, e.g. log.dirs=/var/lib/millrace',
      )
    if (roles.controller && nodeId !== null && voters.length > 0 && !voters.some(({ id }) => id === nodeId))
      this.missing(
        'controller.quorum.voters',
        `controller.quorum.voters does not name this node (node.id=${nodeId}), which has the controller role`,
      )
    if (nodeId === null || peer === null) return null
    const metadataDir = this.set.get('metadata.log.dir')?.value ?? logDirs[0] ?? ''
    const properties = new Map([...this.set].map(([key, entry]) => [key, entry.value]))
    // As in Kafka, the node's number can be read under its old name, too.
    properties.set('broker.id', String(nodeId))
    return {
      nodeId,
      ...roles,
      voters,
      peer,
      listeners: own,
      http,
      logDirs,
      metadataDir,
      properties,
      rack: this.set.get('broker.rack')?.value ?? null,
      flushMode: this.text('flush.mode') === 'pagecache' ? 'pagecache' : 'fsync',
      number: this.number,
    }
  }

  private nodeId(): number | null {
    const entry = this.set.get('node.id')
    if (entry === undefined) {
      this.missing('node.id', 'node.id is missing: give every node of the cluster its own small number')
      return null
    }
    const id = Number(entry.value)
    return Number.isInteger(id) ? id : null
  }

  private roles(): { broker: boolean; controller: boolean } {
    const roles = this.list('process.roles')
    if (roles.length === 0)
      this.missing(
        'process.roles',
        'process.roles is missing: set process.roles=broker,controller (there is no ZooKeeper here)',
      )
    return { broker: roles.includes('broker'), controller: roles.includes('controller') }
  }

  private voters(): NodeConfig['voters'] {
    const entry = this.set.get('controller.quorum.voters')
    if (entry === undefined) {
      this.missing(
        'controller.quorum.voters',
        'controller.quorum.voters is missing: name every controller as id@host:port, separated by commas',
      )
      return []
    }
    const { voters, problems } = parseVoters(entry.value)
    for (const message of problems) this.problem(entry, message)
    return voters
  }

  private listeners(roles: { broker: boolean; controller: boolean }): {
    own: readonly BrokerListenerConfig[]
    peer: NodeConfig['peer'] | null
  } {
    const all = this.parsed('listeners')
    const advertised = this.set.has('advertised.listeners') ? this.parsed('advertised.listeners') : []
    const controllerNames = this.list('controller.listener.names').map((name) => name.toUpperCase())
    const peerName = this.set.get('peer.listener.name')?.value.toUpperCase()
    const protocols = this.protocolMap()
    for (const { name } of all) this.checkProtocol(name, protocols)
    const clients = all.filter(({ name }) => !controllerNames.includes(name) && name !== peerName)
    if (roles.broker && clients.length === 0)
      this.missing('listeners', 'listeners names no listener for clients, e.g. listeners=PLAINTEXT://:9092')
    for (const { name } of advertised) {
      const entry = this.set.get('advertised.listeners') as Property
      if (!all.some((listener) => listener.name === name))
        this.problem(entry, `advertised.listeners names ${name}, which listeners does not have`)
    }
    const own = roles.broker ? clients.map((listener) => this.clientListener(listener, advertised)) : []
    return { own, peer: this.peer(roles, { all, advertised, controllerNames, own }) }
  }

  private parsed(key: string): readonly ParsedListener[] {
    const { listeners, problems } = parseListeners(this.text(key) ?? '')
    for (const message of problems) this.missing(key, `${key}: ${message}`)
    return listeners
  }

  private protocolMap(): ReadonlyMap<string, string> {
    const { map, problems } = parseProtocolMap(this.text('listener.security.protocol.map') ?? '')
    for (const message of problems) this.missing('listener.security.protocol.map', message)
    return map
  }

  private checkProtocol(name: string, protocols: ReadonlyMap<string, string>): void {
    const protocol = protocols.get(name) ?? name
    if (protocol === 'PLAINTEXT') return
    const known = ['SSL', 'SASL_PLAINTEXT', 'SASL_SSL'].includes(protocol)
    const message = known
      ? `listener ${name} asks for ${protocol}, which is not served yet: map it to PLAINTEXT in listener.security.protocol.map`
      : `listener ${name} has no security protocol: add ${name}:PLAINTEXT to listener.security.protocol.map`
    this.missing('listeners', message)
  }

  private clientListener(listener: ParsedListener, advertised: readonly AdvertisedListener[]): BrokerListenerConfig {
    const told = advertised.find(({ name }) => name === listener.name)
    const host = told?.host ?? listener.host
    if (['0.0.0.0', '::'].includes(host))
      this.missing(
        'advertised.listeners',
        `listener ${listener.name} would tell clients to connect to ${host}: name a reachable host in advertised.listeners`,
      )
    return {
      name: listener.name,
      bind: { host: listener.host === '' ? '0.0.0.0' : listener.host, port: listener.port },
      advertised: { host: host === '' ? this.hostname : host, port: told?.port ?? listener.port },
      securityProtocol: 'PLAINTEXT',
    }
  }

  /** Told as the first listener of clients is, unless it is bound to one address. */
  private http(client: BrokerListenerConfig | undefined): NodeConfig['http'] {
    const entry = this.set.get('http.listener')
    if (entry === undefined || entry.value === '' || client === undefined) return null
    const bind = parseHttpListener(entry.value)
    if (bind === null) {
      this.problem(entry, `http.listener=${entry.value}: not host:port`)
      return null
    }
    const host = EVERYWHERE.includes(bind.host) ? client.advertised.host : bind.host
    return { bind, advertised: { host, port: bind.port } }
  }

  /** The inter-node address: the listener that `peer.listener.name` names, else the controller listener. */
  private peer(roles: { controller: boolean }, found: FoundListeners): NodeConfig['peer'] | null {
    const chosen = this.set.get('peer.listener.name')
    const names = chosen === undefined ? found.controllerNames : [chosen.value.toUpperCase()]
    const named = found.all.find(({ name }) => names.includes(name))
    if (chosen !== undefined && named === undefined) {
      this.problem(chosen, `peer.listener.name=${chosen.value}: listeners has no listener of that name`)
      return null
    }
    if (named === undefined && roles.controller) {
      this.missing(
        'listeners',
        'a controller needs a listener that controller.listener.names names, e.g. CONTROLLER://:9093',
      )
      return null
    }
    if (named === undefined) return besideFirst(found.own[0])
    const told = found.advertised.find(({ name }) => name === named.name)
    const host = told?.host ?? named.host
    return {
      bind: { host: named.host === '' ? '0.0.0.0' : named.host, port: named.port },
      advertised: { host: EVERYWHERE.includes(host) ? this.hostname : host, port: told?.port ?? named.port },
    }
  }
}

interface FoundListeners {
  readonly all: readonly ParsedListener[]
  readonly advertised: readonly ParsedListener[]
  readonly controllerNames: readonly string[]
  readonly own: readonly BrokerListenerConfig[]
}

/** A node that is only a broker has no controller listener in Kafka's files: its peer port is 10,000 above its first listener's. */
function besideFirst(first: BrokerListenerConfig | undefined): NodeConfig['peer'] | null {
  if (first === undefined) return null
  const port = (first.bind.port + 10_000) % 65_536
  return { bind: { host: first.bind.host, port }, advertised: { host: first.advertised.host, port } }
}

function declaredKey(key: string): ConfigKey {
  const declared = BROKER_KEYS.get(key)
  if (declared === undefined) throw new RangeError(`${key} is not a declared broker key`)
  return declared
}

/** The declared key that is nearest to a mistyped one, as a hint. */
function suggestion(key: string): string {
  let best = ''
  let least = Math.min(4, Math.ceil(key.length / 3))
  for (const known of BROKER_KEYS.keys()) {
    const distance = editDistance(key, known, least)
    if (distance < least) [best, least] = [known, distance]
  }
  return best === '' ? '' : `: did you mean "${best}"?`
}

function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let row = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}
