import { describe, expect, test } from 'vitest'
import { accepting, bench, bytePair, bytes, peerPair, PeerNotes, SECOND } from './bench.ts'
import type { PeerPair } from './bench.ts'

const SEEDS = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight']

/** What a probe of `a` by `b` finds, and how long it took. */
function probed(pair: PeerPair): [string, number] {
  const before = pair.run.nowUs
  let found: [string, number] = ['nothing', 0]
  pair.peersOfB.probe(pair.at, (seen) => (found = [seen, pair.run.nowUs - before]))
  pair.pass(SECOND)
  return found
}

describe('A link that is cut', () => {
  test('holds frames in one direction only, and delivers them in order when it is healed', () => {
    const pair = peerPair()
    pair.network.cut('b', 'a')
    for (const frame of ['one', 'two', 'three']) pair.near.stream?.send(bytes(frame))
    pair.far.stream?.send(bytes('back'))
    pair.pass(2 * SECOND)
    expect(pair.far.told).toEqual([])
    expect(pair.near.told).toEqual(['opened welcome', 'back'])
    pair.network.heal('b', 'a')
    pair.pass(4 * SECOND)
    expect(pair.far.told).toEqual(['one', 'two', 'three'])
    expect(pair.near.told.length).toBe(2)
  })

  test('holds what was on its way too, and what is sent after the healing stays behind it', () => {
    for (const seed of SEEDS) {
      const pair = peerPair(seed, { delayMinUs: 1000, delayMeanUs: 5000 })
      pair.near.stream?.send(bytes('one'))
      pair.pass(100)
      pair.network.cut('b', 'a')
      pair.near.stream?.send(bytes('two'))
      pair.pass(SECOND)
      expect(pair.far.told).toEqual([])
      pair.network.healAll()
      pair.near.stream?.send(bytes('three'))
      pair.pass(4 * SECOND)
      expect(pair.far.told).toEqual(['one', 'two', 'three'])
    }
  })

  test('is found out by keepalive in 3 to 9 seconds, at both ends, in whichever direction it is cut', () => {
    for (const seed of SEEDS)
      for (const [from, to] of [
        ['a', 'b'],
        ['b', 'a'],
      ] as const) {
        const pair = peerPair(seed)
        const cutUs = pair.run.nowUs
        pair.network.cut(from, to)
        pair.pass(15 * SECOND)
        expect(pair.near.told).toEqual(['opened welcome', 'closed broken'])
        expect(pair.far.told).toEqual(['closed broken'])
        for (const { lastUs } of [pair.near, pair.far]) {
          expect(lastUs - cutUs).toBeGreaterThan(2 * SECOND)
          expect(lastUs - cutUs).toBeLessThan(9 * SECOND)
        }
      }
  })

  test('that is healed in time breaks nothing', () => {
    const pair = peerPair()
    for (let round = 0; round < 10; round++) {
      pair.network.cut('a', 'b')
      pair.pass(1.5 * SECOND)
      pair.network.heal('a', 'b')
      pair.pass(1.5 * SECOND)
    }
    expect(pair.near.told).toEqual(['opened welcome'])
  })

  test('stops the sender whose acknowledgements do not come back, and lets it go on', () => {
    const pair = peerPair()
    pair.network.cut('a', 'b')
    let frames = 0
    while (frames < 100 && pair.near.stream?.send(new Uint8Array(100_000)) === true) frames++
    pair.pass(SECOND)
    const arrived = pair.far.told.length
    expect(frames).toBeLessThan(100)
    expect(arrived).toBeGreaterThan(0)
    expect(arrived).toBeLessThan(10)
    pair.network.heal('a', 'b')
    pair.pass(SECOND)
    expect(pair.far.told.length).toBe(frames + 1)
    expect(pair.near.told).toEqual(['opened welcome', 'drained'])
    expect(pair.near.stream?.queuedBytes).toBe(0)
  })

  test('lets no stream open, for 5 seconds; a dial that is under way succeeds when it heals earlier', () => {
    const pair = peerPair()
    pair.network.cut('b', 'a')
    const [late, early] = [new PeerNotes(() => pair.run.nowUs), new PeerNotes(() => pair.run.nowUs)]
    late.stream = pair.peersOfB.open(pair.at, 'control', bytes('hello'), late)
    pair.pass(5.1 * SECOND)
    expect(late.told).toEqual(['closed broken'])
    early.stream = pair.peersOfB.open(pair.at, 'control', bytes('hello'), early)
    early.stream.send(bytes('queued'))
    pair.pass(SECOND)
    pair.network.heal('b', 'a')
    pair.pass(3 * SECOND)
    expect(early.told).toEqual(['opened welcome'])
    expect(pair.far.told).toContain('queued')
  })

  test('leaves byte streams silent and open for as long as nobody gives up', () => {
    const pair = bytePair()
    pair.network.cut('b', 'a')
    pair.near.stream?.write([bytes('request')])
    pair.far.stream?.write([bytes('answer')])
    pair.pass(300 * SECOND)
    expect([pair.near.text, pair.far.text]).toEqual(['answer', ''])
    pair.network.heal('b', 'a')
    pair.pass(5 * SECOND)
    expect(pair.far.text).toBe('request')
    expect([pair.near.told, pair.far.told]).toEqual([['opened'], ['opened']])
  })

  test('keeps a close from the other side until it is healed', () => {
    const pair = bytePair()
    pair.network.cut('b', 'a')
    pair.near.stream?.close()
    pair.pass(60 * SECOND)
    expect(pair.near.told).toEqual(['opened', 'closed closed here'])
    expect(pair.far.told).toEqual(['opened'])
    pair.network.heal('b', 'a')
    pair.pass(5 * SECOND)
    expect(pair.far.told).toEqual(['opened', 'closed the other side closed the connection'])
  })
})

describe('A process that dies', () => {
  test('is seen at once as broken, behind what its machine had taken, and hears nothing more', () => {
    const seen = new Set<string>()
    for (const seed of SEEDS) {
      const pair = peerPair(seed, { delayMinUs: 500, delayMeanUs: 1000 })
      for (const frame of ['one', 'two', 'three']) pair.near.stream?.send(bytes(frame))
      pair.run.end(pair.b)
      pair.far.stream?.send(bytes('never heard'))
      pair.pass(SECOND)
      expect(pair.far.told.at(-1)).toBe('closed broken')
      expect(['one', 'two', 'three'].slice(0, pair.far.told.length - 1)).toEqual(pair.far.told.slice(0, -1))
      expect(pair.near.told).toEqual(['opened welcome'])
      seen.add(pair.far.told.join())
    }
    expect(seen.size).toBeGreaterThan(1)
  })

  test('is refused by a probe and a dial, and reached again when the next one listens', () => {
    const pair = peerPair()
    expect(probed(pair)[0]).toBe('alive')
    pair.run.end(pair.a)
    pair.pass(SECOND)
    expect(pair.near.told).toEqual(['opened welcome', 'closed broken'])
    expect(probed(pair)[0]).toBe('refused')
    const again = new PeerNotes(() => pair.run.nowUs)
    const dialledUs = pair.run.nowUs
    pair.peersOfB.open(pair.at, 'control', bytes('hello'), again)
    pair.pass(SECOND)
    expect(again.told).toEqual(['closed broken'])
    expect(again.lastUs - dialledUs).toBeLessThan(10_000)
    const second = pair.run.newLife('a#2')
    pair.network.peers('a', second).listen(pair.at, accepting(new PeerNotes(() => pair.run.nowUs)), () => {})
    expect(probed(pair)[0]).toBe('alive')
  })

  test('in the middle of a handshake leaves no stream that is open for ever', () => {
    const ends: (string | undefined)[] = []
    for (let at = 0; at < 40; at++) {
      const made = bench(`seed ${at}`)
      const [a, b] = [made.run.newLife('a'), made.run.newLife('b')]
      const [near, far] = [new PeerNotes(() => made.run.nowUs), new PeerNotes(() => made.run.nowUs)]
      made.network.peers('a', a).listen({ host: 'a', port: 1 }, accepting(far), () => {})
      made.network.peers('b', b).open({ host: 'a', port: 1 }, 'control', bytes('hello'), near)
      made.pass(at * 50)
      made.run.end(at % 2 === 0 ? a : b)
      made.pass(20 * SECOND)
      const survivor = at % 2 === 0 ? near : far
      const met = at % 2 === 0 || survivor.stream !== null
      if (met) ends.push(survivor.told.at(-1))
    }
    expect(new Set(ends)).toEqual(new Set(['closed broken']))
    expect(ends.length).toBeGreaterThan(25)
  })

  test('sends nothing and opens nothing in what is left of its turn', () => {
    const pair = peerPair()
    const ghost = new PeerNotes(() => pair.run.nowUs)
    pair.run.post(1, pair.b, () => {
      pair.run.end(pair.b)
      pair.near.stream?.send(bytes('from the grave'))
      pair.peersOfB.open(pair.at, 'control', bytes('hello'), ghost)
      pair.peersOfB.listen(
        { host: 'b', port: 1 },
        () => ({ refused: '' }),
        () => expect.unreachable(),
      )
    })
    pair.pass(10 * SECOND)
    expect(pair.far.told).toEqual(['closed broken'])
    expect(ghost.told).toEqual([])
    expect(pair.network.host('b').ports.size).toBe(0)
  })

  test('closes its byte streams for its clients', () => {
    const pair = bytePair()
    pair.far.stream?.write([bytes('last words')])
    pair.pass(10_000)
    pair.run.end(pair.a)
    pair.pass(SECOND)
    expect(pair.near.text).toBe('last words')
    expect(pair.near.told.at(-1)).toMatch(/^closed /)
  })

  test('does not keep another from being told of a close that was under way', () => {
    const pair = bytePair()
    pair.far.stream?.pause()
    pair.near.stream?.write([new Uint8Array(2_000_000)])
    pair.near.stream?.close()
    pair.pass(1000)
    pair.run.end(pair.b)
    pair.far.stream?.resume()
    pair.pass(SECOND)
    expect(pair.far.told.at(-1)).toMatch(/^closed /)
    expect(pair.far.text.length).toBeLessThan(2_000_000)
  })
})

describe('A machine that loses its power', () => {
  test('leaves its peers without a word until keepalive gives up, and a probe unknown', () => {
    const pair = peerPair()
    pair.network.power('a', false)
    pair.run.end(pair.a)
    const offUs = pair.run.nowUs
    expect(probed(pair)).toEqual(['unknown', 500_000])
    expect(pair.near.told).toEqual(['opened welcome'])
    pair.pass(10 * SECOND)
    expect(pair.near.told).toEqual(['opened welcome', 'closed broken'])
    expect(pair.near.lastUs - offUs).toBeGreaterThan(2 * SECOND)
    pair.network.power('a', true)
    expect(probed(pair)[0]).toBe('refused')
  })

  test('resets a byte stream when it runs again and is sent something, and not before', () => {
    const pair = bytePair()
    pair.network.power('a', false)
    pair.run.end(pair.a)
    pair.pass(30 * SECOND)
    pair.network.power('a', true)
    pair.pass(30 * SECOND)
    expect(pair.near.told).toEqual(['opened'])
    pair.near.stream?.write([bytes('is anybody there')])
    pair.pass(SECOND)
    expect(pair.near.told.length).toBe(2)
    expect(pair.near.told[1]).toMatch(/ECONNRESET/)
  })

  test('resets what was sent to it while it was off', () => {
    const pair = bytePair()
    pair.network.power('a', false)
    pair.run.end(pair.a)
    pair.near.stream?.write([bytes('is anybody there')])
    pair.pass(30 * SECOND)
    expect(pair.near.told).toEqual(['opened'])
    pair.network.power('a', true)
    pair.pass(SECOND)
    expect(pair.near.told[1]).toMatch(/ECONNRESET/)
  })

  test('takes a dial that went on until it was on again', () => {
    const pair = peerPair()
    pair.network.power('a', false)
    pair.run.end(pair.a)
    const late = new PeerNotes(() => pair.run.nowUs)
    pair.peersOfB.open(pair.at, 'control', bytes('hello'), late)
    pair.pass(SECOND)
    pair.network.power('a', true)
    const far = new PeerNotes(() => pair.run.nowUs)
    pair.network.peers('a', pair.run.newLife('a#2')).listen(pair.at, accepting(far), () => {})
    pair.pass(SECOND)
    expect(late.told).toEqual(['opened welcome'])
  })
})

describe('A process that is stopped for a while', () => {
  test('has its frames when it goes on', () => {
    const pair = peerPair()
    pair.run.pause(pair.a)
    for (const frame of ['one', 'two', 'three']) pair.near.stream?.send(bytes(frame))
    pair.pass(2 * SECOND)
    expect(pair.far.told).toEqual([])
    expect(probed(pair)[0]).toBe('alive')
    pair.run.resume(pair.a)
    pair.pass(1000)
    expect(pair.far.told).toEqual(['one', 'two', 'three'])
  })

  test('is taken for dead by its peers, and told so when it goes on', () => {
    const pair = peerPair()
    pair.run.pause(pair.a)
    pair.near.stream?.send(bytes('one'))
    pair.pass(12 * SECOND)
    expect(pair.near.told).toEqual(['opened welcome', 'closed broken'])
    expect(pair.far.told).toEqual([])
    pair.run.resume(pair.a)
    pair.pass(SECOND)
    expect(pair.far.told).toEqual(['one', 'closed broken'])
  })

  test('accepts nobody meanwhile: a stream to it does not open', () => {
    const pair = peerPair()
    pair.run.pause(pair.a)
    const late = new PeerNotes(() => pair.run.nowUs)
    pair.peersOfB.open(pair.at, 'control', bytes('hello'), late)
    pair.pass(6 * SECOND)
    expect(late.told).toEqual(['closed broken'])
  })
})

describe('A message that is lost', () => {
  test('breaks its stream for both ends, behind what came before it', () => {
    const lengths = new Set<number>()
    for (const seed of SEEDS) {
      const pair = peerPair(seed)
      pair.network.faults = { ...pair.network.faults, breakPer10k: 200, deliverAfterBreakPercent: 95 }
      for (let frame = 0; frame < 200; frame++) pair.near.stream?.send(bytes(`${frame}`))
      pair.pass(SECOND)
      const frames = pair.far.told.slice(0, -1)
      expect(pair.far.told.at(-1)).toBe('closed broken')
      expect(pair.near.told.at(-1)).toBe('closed broken')
      expect(frames).toEqual(frames.map((_, at) => `${at}`))
      expect(pair.near.stream?.send(bytes('late'))).toBe(false)
      lengths.add(frames.length)
    }
    expect(lengths.size).toBeGreaterThan(3)
  })

  test('and sent again by the transport comes late, with all that was sent behind it', () => {
    const pair = peerPair('a', { retransmitPer10k: 1000, retransmitMeanUs: 100_000 })
    for (let frame = 0; frame < 100; frame++) {
      pair.near.stream?.send(bytes(`${frame}`))
      pair.pass(100)
    }
    expect(pair.far.told.length).toBeLessThan(100)
    pair.pass(SECOND)
    expect(pair.far.told).toEqual(Array.from({ length: 100 }, (_, at) => `${at}`))
  })
})

describe('Between two hosts', () => {
  test('all streams can be broken at once, those to others stay', () => {
    const pair = peerPair()
    const other = new PeerNotes(() => pair.run.nowUs)
    pair.network.peers('c', pair.run.newLife('c')).open(pair.at, 'control', bytes('hello'), other)
    pair.pass(SECOND)
    pair.network.breakStreams('a', 'b')
    pair.pass(SECOND)
    expect(pair.near.told).toEqual(['opened welcome', 'closed broken'])
    expect(other.told).toEqual(['opened welcome'])
  })

  test('a clog holds messages until its time', () => {
    const pair = peerPair()
    pair.network.clog('b', 'a', pair.run.nowUs + 2 * SECOND)
    pair.near.stream?.send(bytes('one'))
    pair.far.stream?.send(bytes('back'))
    pair.pass(1.9 * SECOND)
    expect([pair.far.told, pair.near.told]).toEqual([[], ['opened welcome', 'back']])
    pair.pass(SECOND)
    expect(pair.far.told).toEqual(['one'])
  })
})

describe('Byte streams', () => {
  test('come in other pieces than they were written in: cut anywhere, and joined', () => {
    const pair = bytePair('a', { delayMinUs: 1, delayMeanUs: 1 })
    let written = ''
    for (let at = 0; at < 500; at++) {
      const content = `request ${at};`
      written += content
      pair.near.stream?.write([bytes(content.slice(0, 4)), bytes(content.slice(4))])
      if (at % 3 === 0) pair.pass(500)
    }
    pair.pass(SECOND)
    expect(pair.far.text).toBe(written)
    const sizes = new Set(pair.far.chunks)
    expect(sizes.has(1)).toBe(true)
    expect(Math.max(...pair.far.chunks)).toBeGreaterThan(12)
    expect(pair.far.chunks.length).toBeGreaterThan(100)
  })

  test('are read from the memory of the writer until it is told that they are written', () => {
    let spoilt = 0
    for (const seed of SEEDS) {
      const pair = bytePair(seed)
      for (let at = 0; at < 20; at++) {
        const content = bytes('sound')
        pair.near.stream?.write([content])
        content.fill(0x78)
        pair.pass(1000)
      }
      if (pair.far.text.includes('xxxxx')) spoilt++
    }
    expect(spoilt).toBeGreaterThan(4)
  })
})

test('hosts and ports are told apart', () => {
  const { run, network, pass } = bench()
  const life = run.newLife('a')
  const errors: string[] = []
  const streams = network.streams('a', life)
  const listen = (host: string, port: number): void =>
    streams.listen(
      { host, port },
      () => ({}) as never,
      (error, listener) =>
        errors.push(error === null ? `${listener.address.host}:${listener.address.port}` : error.code),
    )
  listen('a', 9092)
  listen('0.0.0.0', 9092)
  listen('elsewhere', 9093)
  listen('', 9093)
  pass(10)
  network.peers('a', life).listen(
    { host: 'a', port: 9092 },
    () => ({ refused: '' }),
    (error) => errors.push(error?.code ?? ''),
  )
  pass(10)
  expect(errors.toSorted()).toEqual([':9093', 'EADDRINUSE', 'EADDRINUSE', 'EIO', 'a:9092'].toSorted())
})
