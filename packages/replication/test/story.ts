import { unreachable } from '@millrace/base'
import type { AlterPartition, BrokerState, FlushMode, PartitionState } from '../src/types.ts'
import { ModelLog } from '../src/model/model-log.ts'
import { ModelNode, type ModelMessage, type NodeEvents } from '../src/model/node.ts'
import { SeededRandom } from './seeded-random.ts'

const MILLISECOND_US = 1000

/** One partition group under a storyteller's hand: nothing moves unless a command says so, and whatever moves is told in words. */
export class Story {
  private readonly lines: string[] = []
  private readonly nodes = new Map<number, ModelNode>()
  private readonly downLogs = new Map<number, { log: ModelLog; highWatermark: number }>()
  private readonly brokers = new Map<number, BrokerState>()
  private readonly queues = new Map<string, ModelMessage[]>()
  private readonly held = new Set<string>()
  private readonly cut = new Set<string>()
  private readonly alters = new Map<number, AlterPartition>()
  private readonly sessions = new Map<number, string>()
  private readonly told = new Map<number, string>()
  private readonly syncing = new Map<number, ReturnType<ModelLog['beginSync']>>()
  private readonly random = new SeededRandom(1)
  private state: PartitionState | null = null
  private flushMode: FlushMode = 'fsync'
  private lagTimeMaxUs = 10_000 * MILLISECOND_US
  private nowUs = 0
  private quiet = false

  /** Runs one line of a transcript; returns what happened, in words. */
  run(line: string): readonly string[] {
    const [name = '', ...words] = line.trim().split(/\s+/)
    const command = this.commands[name]
    if (command === undefined) throw new Error(`no such command: ${name}`)
    command(words)
    for (const node of this.nodes.values()) this.tellChanges(node)
    return this.lines.splice(0)
  }

  private readonly commands: Readonly<Record<string, (words: readonly string[]) => void>> = {
    group: (words) => this.group(options(words)),
    elect: ([leader = '', ...words]) => this.elect(Number(leader), words),
    isr: ([isr = '', ...words]) =>
      this.decide({ isr: ids(isr), elr: ids(options(words)['elr'] ?? '') }, options(words)['told']),
    replicas: ([replicas = '', ...words]) => this.decide({ replicas: ids(replicas) }, options(words)['told']),
    min: ([min = '', ...words]) => {
      this.state = { ...this.known(), minInsyncReplicas: Number(min) }
      this.tell(options(words)['told'])
    },
    fence: ([who = '', ...words]) => this.fence(ids(who), options(words)['told']),
    unfence: ([who = '', ...words]) => {
      for (const id of ids(who)) this.brokers.set(id, { ...(this.brokers.get(id) as BrokerState), eligible: true })
      this.tell(options(words)['told'])
    },
    tell: ([to]) => this.tell(to),
    broker: ([id = '', ...words]) => this.registration(Number(id), options(words)),
    produce: ([leader = '', ...values]) => {
      const at = this.node(leader).produce(values)
      this.say(`${leader} writes ${values.join(' ')} at ${at}`)
    },
    sync: ([who]) => this.sync(who === undefined ? [...this.nodes.keys()] : ids(who)),
    'begin-sync': ([id = '']) => this.syncing.set(Number(id), this.node(id).log.beginSync()),
    'end-sync': ([id = '']) => {
      const end = this.syncing.get(Number(id))
      if (end !== undefined) this.node(id).step({ kind: 'durable', ...end() })
    },
    deliver: ([link]) => this.deliver(link === undefined ? null : link),
    hold: (links) => links.forEach((link) => this.held.add(link)),
    release: (links) => links.forEach((link) => this.held.delete(link)),
    drop: (links) => links.forEach((link) => this.queues.delete(link)),
    settle: () => this.settle(),
    tick: (words) => this.tick(words),
    answer: (words) => this.answer(words),
    break: ([pair = '']) => this.breakLink(pair),
    join: ([pair = '']) => this.joinLink(pair),
    crash: ([id = '', ...words]) => this.crash(Number(id), options(words)),
    start: ([id = '', ...words]) => this.start(Number(id), options(words)),
    delete: ([id = '', to = '']) => {
      this.node(id).log.advanceLogStart(Number(to))
      this.node(id).step({ kind: 'logStart', offset: Number(to) })
    },
    unfit: ([id = '']) => this.node(id).step({ kind: 'unfit', unfit: true }),
    fit: ([id = '']) => this.node(id).step({ kind: 'unfit', unfit: false }),
    logs: () => this.tellLogs(),
    status: ([id]) => this.tellStatus(id === undefined ? [...this.nodes.keys()] : ids(id)),
  }

  private say(line: string): void {
    if (!this.quiet) this.lines.push(line)
  }

  private node(id: string | number): ModelNode {
    const node = this.nodes.get(Number(id))
    if (node === undefined) throw new Error(`broker ${id} is not running`)
    return node
  }

  private known(): PartitionState {
    if (this.state === null) throw new Error('begin with: group replicas=1,2,3')
    return this.state
  }

  private group(given: Record<string, string>): void {
    const replicas = ids(given['replicas'] ?? '1,2,3')
    this.flushMode = given['flush'] === 'pagecache' ? 'pagecache' : 'fsync'
    if (given['lag'] !== undefined) this.lagTimeMaxUs = durationUs(given['lag'])
    this.state = {
      replicas,
      isr: replicas,
      elr: [],
      leader: -1,
      leaderEpoch: 0,
      partitionEpoch: 0,
      uncleanlyElected: false,
      minInsyncReplicas: Number(given['min'] ?? '1'),
    }
    for (const id of replicas) {
      this.brokers.set(id, { epoch: 100 + id, eligible: true })
      this.launch(id, new ModelLog(), 0)
    }
  }

  private launch(id: number, log: ModelLog, highWatermark: number): void {
    this.told.set(id, '')
    const brokerEpoch = (this.brokers.get(id) as BrokerState).epoch
    this.nodes.set(
      id,
      new ModelNode({
        brokerId: id,
        brokerEpoch,
        flushMode: this.flushMode,
        lagTimeMaxUs: this.lagTimeMaxUs,
        random: this.random,
        log,
        highWatermark,
        events: this.eventsOf(id),
      }),
    )
    this.node(id).step({ kind: 'tick', nowUs: this.nowUs })
  }

  private eventsOf(id: number): NodeEvents {
    return {
      send: (message) => this.queue(id, message),
      alter: (alter) => {
        this.alters.set(id, alter)
        const isr = alter.isr.map((member) => `${member.brokerId}`).join(',')
        this.say(`${id} asks the controller for ISR ${isr} (partition epoch ${alter.partitionEpoch})`)
      },
      truncated: (to, how) =>
        this.say(how === 'truncate' ? `${id} truncates its log to ${to}` : `${id} starts its log anew at ${to}`),
      quarantined: (reason) => this.say(`${id} is quarantined: ${reason}`),
      failedWaiters: (epoch) => this.say(`${id} answers NOT_LEADER to the produces of epoch ${epoch}`),
      stepped: () => {},
    }
  }

  private queue(from: number, message: ModelMessage): void {
    const link = `${from}>${message.to}`
    if (this.cut.has(link) || !this.nodes.has(message.to)) return
    const queue = this.queues.get(link) ?? []
    queue.push(message)
    this.queues.set(link, queue)
  }

  private elect(leader: number, words: readonly string[]): void {
    const given = options(words)
    const state = this.known()
    const unclean = words.includes('unclean')
    this.decide(
      {
        leader,
        leaderEpoch: state.leaderEpoch + 1,
        isr: given['isr'] === undefined ? state.isr : ids(given['isr']),
        elr: ids(given['elr'] ?? ''),
        uncleanlyElected: unclean,
      },
      given['told'],
    )
  }

  private decide(change: Partial<PartitionState>, told: string | undefined): void {
    const state = this.known()
    this.state = { ...state, ...change, partitionEpoch: state.partitionEpoch + 1 }
    this.tell(told)
  }

  private tell(told: string | undefined): void {
    for (const id of told === undefined ? this.nodes.keys() : ids(told))
      this.nodes.get(id)?.metadata(this.known(), new Map(this.brokers))
  }

  /** Out of the ISR, into the ELR as long as the ISR is below the minimum; who leads is another command's affair. */
  private fence(who: readonly number[], told: string | undefined): void {
    const state = this.known()
    for (const id of who) this.brokers.set(id, { ...(this.brokers.get(id) as BrokerState), eligible: false })
    const isr = state.isr.filter((id) => !who.includes(id))
    const left = state.isr.filter((id) => who.includes(id))
    this.decide({ isr, elr: isr.length < state.minInsyncReplicas ? [...state.elr, ...left] : [] }, told)
  }

  private registration(id: number, given: Record<string, string>): void {
    const before = this.brokers.get(id) ?? { epoch: 100 + id, eligible: true }
    this.brokers.set(id, {
      epoch: given['epoch'] === undefined ? before.epoch : Number(given['epoch']),
      eligible: given['eligible'] === undefined ? before.eligible : given['eligible'] === 'yes',
    })
    if (given['told'] !== undefined) this.tell(given['told'])
  }

  private sync(who: readonly number[]): void {
    for (const id of who) {
      const node = this.node(id)
      node.step({ kind: 'durable', ...node.log.beginSync()() })
    }
  }

  private deliver(only: string | null): void {
    for (let round = 0; round < 100; round++) {
      for (const id of [...this.nodes.keys()].toSorted((a, b) => a - b)) this.nodes.get(id)?.stream()
      const links = [...this.queues.keys()]
        .sort()
        .filter((link) => (only === null || link === only) && !this.held.has(link))
      const waiting = links.filter((link) => (this.queues.get(link) ?? []).length > 0)
      if (waiting.length === 0) return
      for (const link of waiting) this.deliverLink(link)
    }
    throw new Error('the replicas never stop talking')
  }

  private deliverLink(link: string): void {
    const [from = 0, to = 0] = link.split('>').map(Number)
    const messages = this.queues.get(link) ?? []
    this.queues.set(link, [])
    for (const message of messages) {
      this.say(`${from} > ${to}  ${this.words(message)}`)
      const sender = this.nodes.get(from)
      this.nodes.get(to)?.receive(from, sender?.brokerEpoch ?? this.brokers.get(from)?.epoch ?? -1, message)
      for (const node of this.nodes.values()) this.tellChanges(node)
    }
  }

  /** Everything delivered, synced and agreed to; only what it comes to is told. */
  private settle(): void {
    const before = this.quiet
    this.quiet = true
    for (let round = 0; round < 20; round++) {
      this.deliver(null)
      this.sync([...this.nodes.keys()])
      this.deliver(null)
      for (const id of this.alters.keys()) if (this.nodes.has(id)) this.answer(['applied', `at=${id}`])
      for (const node of this.nodes.values()) node.step({ kind: 'tick', nowUs: this.nowUs })
    }
    this.quiet = before
  }

  private tick(words: readonly string[]): void {
    const given = options(words)
    const who = given['at'] === undefined ? [...this.nodes.keys()] : ids(given['at'])
    for (let times = Number(given['times'] ?? '1'); times > 0; times--) {
      this.nowUs += durationUs(words[0] ?? '0ms')
      for (const id of who) this.nodes.get(id)?.step({ kind: 'tick', nowUs: this.nowUs })
    }
  }

  private answer(words: readonly string[]): void {
    const given = options(words)
    const id = Number(given['at'] ?? this.known().leader)
    const alter = this.alters.get(id)
    if (alter === undefined) throw new Error(`broker ${id} asked the controller for nothing`)
    this.alters.delete(id)
    const node = this.nodes.get(id)
    const [outcome = '', code = ''] = words
    if (outcome === 'applied' || outcome === 'applied-unheard') {
      const applied = alter.isr.map((member) => member.brokerId)
      const state = this.known()
      const left = [...state.elr, ...state.isr].filter((id) => !applied.includes(id))
      this.decide({ isr: applied, elr: applied.length < state.minInsyncReplicas ? left : [] }, '')
      const { isr, partitionEpoch, leaderEpoch } = this.known()
      if (outcome === 'applied-unheard') return
      node?.step({
        kind: 'alterReply',
        requestId: alter.requestId,
        result: { kind: 'applied', isr, partitionEpoch, leaderEpoch },
      })
      this.tell(given['told'])
    } else if (outcome === 'rejected') {
      node?.step({
        kind: 'alterReply',
        requestId: alter.requestId,
        result: { kind: 'rejected', error: Number(code) },
      })
    } else if (outcome === 'lost') {
      node?.step({ kind: 'alterReply', requestId: alter.requestId, result: { kind: 'lost' } })
    } else throw new Error(`no such answer: ${outcome}`)
  }

  private breakLink(pair: string): void {
    const [a = 0, b = 0] = pair.split('-').map(Number)
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      this.cut.add(`${from}>${to}`)
      this.queues.delete(`${from}>${to}`)
      this.nodes.get(from)?.step({ kind: 'peerClosed', peer: to })
    }
  }

  private joinLink(pair: string): void {
    const [a = 0, b = 0] = pair.split('-').map(Number)
    this.cut.delete(`${a}>${b}`)
    this.cut.delete(`${b}>${a}`)
    this.nodes.get(a)?.step({ kind: 'peerOpened', peer: b })
    this.nodes.get(b)?.step({ kind: 'peerOpened', peer: a })
  }

  private crash(id: number, given: Record<string, string>): void {
    const node = this.node(id)
    const kept = given['power'] === 'lost' ? 0 : Infinity
    this.downLogs.set(id, { log: node.log.reopened(kept), highWatermark: node.machine.highWatermark })
    this.nodes.delete(id)
    this.alters.delete(id)
    for (const link of this.queues.keys()) if (link.split('>').includes(`${id}`)) this.queues.delete(link)
    for (const other of this.nodes.values()) other.step({ kind: 'peerClosed', peer: id })
  }

  private start(id: number, given: Record<string, string>): void {
    const down = this.downLogs.get(id)
    const log = given['log'] === 'wiped' || down === undefined ? new ModelLog() : down.log
    this.downLogs.delete(id)
    this.brokers.set(id, { epoch: Number(given['epoch'] ?? 200 + id), eligible: true })
    this.launch(id, log, Math.min(down?.highWatermark ?? 0, log.endOffset))
    for (const [other, node] of this.nodes)
      if (other !== id) {
        node.step({ kind: 'peerOpened', peer: id })
        this.node(id).step({ kind: 'peerOpened', peer: other })
      }
    this.tell(given['told'])
  }

  private tellChanges(node: ModelNode): void {
    const { machine } = node
    const now = `${machine.highWatermark}`
    const before = this.told.get(node.brokerId)
    if (now === before) return
    this.told.set(node.brokerId, now)
    if (before !== '') this.say(`${node.brokerId}: the watermark is ${machine.highWatermark}`)
  }

  private tellLogs(): void {
    for (const [id, node] of this.nodes) {
      const records = node.log.records.map((record) => `${record.value}/${record.epoch}`).join(' ')
      const start = node.log.logStart === 0 ? '' : `[from ${node.log.logStart}] `
      this.lines.push(`${id}: ${start}${records === '' ? '(empty)' : records}  watermark ${node.machine.highWatermark}`)
    }
  }

  private tellStatus(who: readonly number[]): void {
    for (const id of who) {
      const { machine } = this.node(id)
      const leading = [
        `ISR ${machine.isr.join(',')}`,
        machine.enoughReplicas ? 'takes acks=all' : 'refuses acks=all',
        machine.latestKnown ? 'knows "latest"' : 'does not know "latest" yet',
      ]
      const told = machine.role === 'leader' ? leading : []
      this.lines.push([`${id}: ${machine.role} in epoch ${machine.leaderEpoch}`, ...told].join(', '))
    }
  }

  private words(message: ModelMessage): string {
    const session = this.sessionName(message.session)
    switch (message.kind) {
      case 'follow': {
        const tail = message.lastEpoch === -1 ? '' : `, last epoch ${message.lastEpoch}`
        return `follow ${session} in epoch ${message.leaderEpoch}: my log ends at ${message.endOffset}${tail}`
      }
      case 'unfollow':
        return `unfollow ${session}`
      case 'ack':
        return `ack ${session}: I hold everything below ${message.durableEnd}`
      case 'accepted':
        return `accepted ${session}: the watermark is ${message.highWatermark}`
      case 'diverging':
        return message.epoch === -1
          ? `diverging ${session}: begin at ${message.endOffset}`
          : `diverging ${session}: my epoch ${message.epoch} ends at ${message.endOffset}`
      case 'refused':
        return `refused ${session}: ${message.code}`
      case 'progress':
        return `progress ${session}: the watermark is ${message.highWatermark}`
      case 'append': {
        const values = message.records.map((record) => record.value).join(' ')
        return `append ${session}: ${values} at ${message.baseOffset}, the watermark is ${message.highWatermark}`
      }
      default:
        return unreachable(message, 'message')
    }
  }

  private sessionName(session: number): string {
    const name = this.sessions.get(session) ?? `s${this.sessions.size + 1}`
    this.sessions.set(session, name)
    return name
  }
}

function options(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words
      .filter((word) => word.includes('='))
      .map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
  )
}

function ids(list: string): readonly number[] {
  return list === '' || list === 'none' ? [] : list.split(',').map(Number)
}

function durationUs(text: string): number {
  const match = /^(\d+)(ms|s)$/.exec(text)
  if (match === null) throw new Error(`not a duration: ${text}`)
  return Number(match[1]) * (match[2] === 's' ? 1000 : 1) * MILLISECOND_US
}
