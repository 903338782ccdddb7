// How many proposals a group of three commits in one process, by proposals per turn: the cost of the machine alone, with
// disks and links that take no time. Run with `node packages/raft/bench/throughput.ts`.
import { performance } from 'node:perf_hooks'
import { createRaft, voterKey, type RaftMachine, type VoterId, type VotersCodec } from '../src/index.ts'

const voters = [1, 2, 3].map((id) => ({ id, directoryId: 'a' }))
const codec: VotersCodec = { encode: () => new Uint8Array(0), decode: () => voters }

function member(self: VoterId): RaftMachine {
  return createRaft(
    {
      self,
      electionTicks: 10,
      heartbeatTicks: 2,
      brokenTicks: 2,
      maxBytesPerAppend: 256 * 1024,
      maxInflightAppends: 16,
      maxUncommittedBytes: 64 * 1024 * 1024,
      maxTailBytes: 8 * 1024 * 1024,
      random: (n) => Math.floor(Math.random() * n),
      voters: codec,
    },
    {
      hardState: { term: 1, votedFor: null },
      firstIndex: 1,
      lastIndex: 1,
      terms: [{ index: 1, term: 1 }],
      snapshotIndex: 0,
      snapshotTerm: 0,
      voters: [],
      voterEntries: [{ index: 1, term: 1, kind: 'voters', payload: new Uint8Array(0) }],
      mayVote: true,
    },
  )
}

const machines = new Map(voters.map((voter) => [voterKey(voter), member(voter)]))

/** Lets every machine do what it wants until none wants anything. Each `ready` is one turn of one node. */
function settle(): number {
  let turns = 0
  for (let quiet = false; !quiet;) {
    quiet = true
    for (const [key, machine] of machines) {
      const { write, send } = machine.ready()
      if (write === null && send.length === 0) continue
      quiet = false
      turns++
      const from = voters.find((voter) => voterKey(voter) === key) as VoterId
      if (write !== null) machine.step({ kind: 'persisted', token: write.token })
      for (const { to, message } of send) machines.get(voterKey(to))?.step({ kind: 'message', from, message })
    }
  }
  return turns
}

const leader = machines.get(voterKey(voters[0] as VoterId)) as RaftMachine
leader.step({ kind: 'campaign' })
settle()
const payload = new Uint8Array(200)
for (const perTurn of [1, 10, 100, 1000]) {
  const total = 300_000
  const began = performance.now()
  let turns = 0
  for (let done = 0; done < total; done += perTurn) {
    for (let at = 0; at < perTurn; at++) leader.propose(payload)
    turns += settle()
    const { lastIndex } = leader.status()
    if (done % 10_000 < perTurn)
      for (const machine of machines.values())
        machine.step({
          kind: 'snapshotReady',
          index: machine.status().commitIndex,
          term: 2,
          trimTo: Math.max(0, lastIndex - 5000),
        })
  }
  const seconds = (performance.now() - began) / 1000
  process.stdout.write(
    `${String(perTurn).padStart(5)} proposals a turn: ${Math.round(total / seconds).toLocaleString('en')} committed a second, ` +
      `${Math.round(turns / seconds).toLocaleString('en')} turns a second\n`,
  )
}
