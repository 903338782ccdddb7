import type { Timer } from '@millrace/base'
import { DirectNetwork, MemoryStreams, memoryWorld, SeededRandom } from '@millrace/host'
import { type Node, readNodeConfig, startNode } from '@millrace/server'
import type { Bench, Life, Network, Schedule } from '../../src/seams.ts'

/** Lives, timers and streams of this process, in real time: the workload before, and without, the rest of the simulator. */
export class RealBench implements Bench {
  readonly streams = new MemoryStreams()
  readonly random: SeededRandom
  readonly notes: string[] = []
  readonly schedule: Schedule
  readonly network: Network

  constructor(seed: string) {
    this.random = new SeededRandom(seed)
    this.schedule = new RealSchedule(this.notes)
    this.network = { streams: () => this.streams } as unknown as Network
  }
}

class RealLife implements Life {
  readonly name: string
  over = false
  paused = false
  readonly last: (() => void)[] = []
  readonly timers = new Set<NodeJS.Timeout>()

  constructor(name: string) {
    this.name = name
  }

  atEnd(run: () => void): void {
    this.last.push(run)
  }
}

class RealSchedule implements Schedule {
  events = 0
  lastLife: Life | null = null
  readonly digest = ''
  private readonly notes: string[]
  private readonly startMs = performance.now()

  constructor(notes: string[]) {
    this.notes = notes
  }

  get nowUs(): number {
    return Math.floor((performance.now() - this.startMs) * 1000)
  }

  post(delayUs: number, life: Life, run: () => void): Timer {
    const { timers } = life as RealLife
    const timeout = setTimeout(() => {
      timers.delete(timeout)
      this.events++
      if (!life.over) run()
    }, delayUs / 1000)
    timers.add(timeout)
    return { cancel: () => clearTimeout(timeout) }
  }

  endOfTurn(life: Life, run: () => void): void {
    this.post(0, life, run)
  }

  note(what: string): void {
    this.notes.push(what)
  }

  newLife(name: string): Life {
    return new RealLife(name)
  }

  end(life: Life): void {
    const real = life as RealLife
    real.over = true
    for (const timer of real.timers) clearTimeout(timer)
    for (const run of real.last) run()
  }

  pause(): void {
    // Nothing here waits.
  }

  resume(): void {
    // Nothing here waits.
  }
}

/** Three nodes in memory whose clients connect over the bench's streams. */
export async function startNodes(bench: RealBench): Promise<{ stop(): Promise<void> }> {
  const network = new DirectNetwork()
  const nodes = await Promise.all([1, 2, 3].map((id) => startOne(id, bench, network)))
  return {
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()))
    },
  }
}

async function startOne(id: number, { streams }: RealBench, network: DirectNetwork): Promise<Node> {
  const name = `node${id}`
  const text = [
    'process.roles=broker,controller',
    `node.id=${id}`,
    'controller.quorum.voters=1@node1:1,2@node2:1,3@node3:1',
    `listeners=PLAINTEXT://${name}:9092,CONTROLLER://${name}:1`,
    'controller.listener.names=CONTROLLER',
    'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs=/data',
    'log.retention.check.interval.ms=500',
  ].join('\n')
  const { config, problems } = readNodeConfig(text, 'localhost')
  if (config === null) throw new Error(JSON.stringify(problems))
  const node = await startNode(memoryWorld({ name, network, streams }), config)
  await node.ready
  return node
}
