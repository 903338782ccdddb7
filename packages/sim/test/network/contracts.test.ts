import { peersContract, streamsContract } from '@millrace/host'
import type { ContractCase } from '@millrace/host'
import { describe, expect, test } from 'vitest'
import { drive } from '../../src/kernel/drive.ts'
import type { SimSchedule } from '../../src/kernel/schedule.ts'
import { bench } from './bench.ts'

/** What contract suites ask of a host, on virtual time. Something always happens: some rules count turns in which nothing else does. */
function virtually(run: SimSchedule) {
  const heart = run.newLife('heart')
  const beat = (): void => void run.post(1000, heart, beat)
  beat()
  return {
    until: async (condition: () => boolean, what: string) => {
      const end = await drive(run, { until: condition, untilUs: run.nowUs + 60_000_000 })
      if (end !== 'until') throw new Error(`still waiting for ${what}: ${end}`)
    },
    end: async () => {},
  }
}

function holdTo(what: string, cases: readonly ContractCase[]): void {
  describe(`The contract of ${what}`, () => {
    test.for(cases)('$name', async ({ run }) => {
      await expect(run()).resolves.toBeUndefined()
    })
  })
}

const at = { host: 'a', port: 0 }

for (const seed of ['one', 'two', 'three']) {
  holdTo(
    `simulated peers, seed ${seed}`,
    peersContract(async () => {
      const { run, network } = bench(seed)
      const [acceptor, opener] = [network.peers('a', run.newLife('a')), network.peers('b', run.newLife('b'))]
      return { acceptor, opener, at, ...virtually(run) }
    }),
  )
  holdTo(
    `simulated byte streams, seed ${seed}`,
    streamsContract(async () => {
      const { run, network } = bench(seed)
      const [acceptor, connector] = [network.streams('a', run.newLife('a')), network.streams('b', run.newLife('b'))]
      return { acceptor, connector, at, ...virtually(run) }
    }),
  )
}

holdTo(
  'simulated peers of one process',
  peersContract(async () => {
    const { run, network } = bench()
    const peers = network.peers('a', run.newLife('a'))
    return { acceptor: peers, opener: peers, at, ...virtually(run) }
  }),
)
