import { createTestCluster, type TestCluster } from '@millrace/testing'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ended, jsonLines, run, start } from './command.ts'

let cluster: TestCluster
let at: string[]
let topics = 0

beforeAll(async () => {
  cluster = await createTestCluster({ nodes: 1 })
  at = ['-b', cluster.bootstrap.join(',')]
})

afterAll(async () => {
  await cluster.close()
})

async function newTopic(partitions = 1): Promise<string> {
  const name = `topic-${++topics}`
  await cluster.client.admin.createTopic({ name, partitions })
  return name
}

async function values(topic: string): Promise<string[]> {
  const found: string[] = []
  for await (const { value } of cluster.client.consumer({ assign: [{ topic }], until: 'end' }))
    found.push(Buffer.from(value ?? []).toString())
  return found
}

describe('millrace topic', () => {
  it('creates, lists, describes, alters and deletes, for people', async () => {
    expect(await run(['topic', 'create', 'people', '-p', '2', '--config', 'retention.ms=1000', ...at])).toEqual({
      code: 0,
      stdout: 'Created topic people.\n',
      stderr: '',
    })
    expect((await run(['topic', 'list', ...at])).stdout).toMatch(/^TOPIC +PARTITIONS[^]*^people +2 +1 +0 +0$/m)
    const described = await run(['topic', 'describe', 'people', ...at])
    expect(described.stdout).toMatch(/^Topic people, id \S+\n {2}retention.ms=1000\nPARTITION +LEADER/)
    expect(described.stdout.trim().split('\n')).toHaveLength(5)
    const altered = await run(['topic', 'alter', 'people', '-p', '3', '--delete-config', 'retention.ms', ...at])
    expect(altered).toMatchObject({ code: 0, stdout: 'Changed topic people.\n' })
    expect((await cluster.client.admin.describeTopic('people')).partitions).toHaveLength(3)
    expect((await run(['topic', 'delete', 'people', ...at])).stdout).toBe('Deleted topic people.\n')
  })

  it('prints one value of JSON a line', async () => {
    const json = async (...args: string[]) => jsonLines(await run(['topic', ...args, '--json', ...at]))
    expect(await json('create', 'j1', '-p', '2')).toEqual([{ topic: 'j1', created: true }])
    expect(await json('create', 'j1', '--if-not-exists')).toEqual([{ topic: 'j1', created: false }])
    expect(await json('list')).toContainEqual({
      topic: 'j1',
      partitions: 2,
      replicas: 1,
      underReplicated: 0,
      leaderless: 0,
    })
    expect(await json('alter', 'j1', '--config', 'retention.ms=5')).toEqual([
      { topic: 'j1', configs: { 'retention.ms': '5' }, partitions: null },
    ])
    expect(await json('describe', 'j1')).toMatchObject([
      {
        topic: 'j1',
        internal: false,
        configs: { 'retention.ms': '5' },
        partitions: [{ partition: 0, leader: 1, earliest: 0, latest: 0 }, {}],
      },
    ])
    expect(await json('delete', 'j1')).toEqual([{ topic: 'j1', deleted: true }])
  })

  it('fails with 1 and the way out', async () => {
    const topic = await newTopic()
    for (const [args, problem] of [
      [['create', topic], /exists already[^]*Choose another name/],
      [['create', 'a b'], /[^]*1 to 249 of the characters/],
      [['create', 'too-many', '-r', '9'], /no more replicas than there are brokers/],
      [['describe', 'nowhere'], /no such topic[^]*Create the topic/],
      [['delete', 'nowhere'], /no such topic/],
      [['alter', topic, '--config', 'nonsense=1'], /nonsense/],
    ] as const) {
      const { code, stdout, stderr } = await run(['topic', ...args, ...at])
      expect(stderr).toMatch(problem)
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    }
  })
})

describe('millrace health', () => {
  it('tells how many brokers serve', async () => {
    expect(await run(['health', ...at])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/: 1 brokers serve/) as string,
    })
    expect(jsonLines(await run(['health', '--json', ...at]))).toMatchObject([{ controllerId: 1, brokers: 1 }])
  })
})

describe('millrace produce', () => {
  it('writes one value with its key, headers and partition', async () => {
    const topic = await newTopic(2)
    const args = ['produce', topic, '--value', 'wärme', '--key', 'k', '-H', 'a=1', '-H', 'b=2', '-p', '1', ...at]
    expect(await run(args)).toEqual({ code: 0, stdout: 'Wrote offset 0 of partition 1.\n', stderr: '' })
    expect(jsonLines(await run([...args, '--json']))).toMatchObject([{ topic, partition: 1, offset: 1 }])
    const read = jsonLines(await run(['consume', topic, '-p', '1', '-e', '--json', ...at]))
    expect(read[0]).toEqual({
      topic,
      partition: 1,
      offset: 0,
      timestamp: expect.any(Number) as number,
      key: 'k',
      value: 'wärme',
      headers: [
        { key: 'a', value: '1' },
        { key: 'b', value: '2' },
      ],
    })
  })

  it('writes the lines of standard input in order, the last one without a newline too', async () => {
    const topic = await newTopic()
    const { code, stdout, stderr } = await run(['produce', topic, ...at], 'one\n\ntwo\nthree')
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toMatch(/^3 records written in /)
    expect(await values(topic)).toEqual(['one', 'two', 'three'])
  })

  it('splits keys off, tells every place with --json, and takes every codec', async () => {
    const topic = await newTopic()
    for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
      const places = jsonLines(await run(['produce', topic, '-K', ':', '--json', '-z', codec, ...at], 'k:v:w\nplain\n'))
      expect(places).toHaveLength(2)
      expect(places[1]).toMatchObject({ topic, partition: 0 })
    }
    const read = jsonLines(await run(['consume', topic, '-e', '--json', ...at]))
    expect(read.slice(8).map(({ key, value }) => [key, value])).toEqual([
      ['k', 'v:w'],
      [null, 'plain'],
    ])
    expect((await run(['consume', topic, '-e', '-c', '2', '-K', '|', ...at])).stdout).toBe('k|v:w\n|plain\n')
  })

  it('keeps bytes that are no text as they are, there and back', async () => {
    const topic = await newTopic()
    const binary = Buffer.from([0xff, 0x00, 0xc3, 0x28, 0x0d])
    await run(['produce', topic, ...at], Buffer.concat([binary, Buffer.from('\n')]))
    const child = start('consume', topic, '-e', ...at)
    const chunks: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
    await once(child, 'close')
    expect(Buffer.concat(chunks)).toEqual(Buffer.concat([binary, Buffer.from('\n')]))
    const [record] = jsonLines(await run(['consume', topic, '-e', '--json', ...at]))
    expect(record?.['value']).toEqual({ base64: binary.toString('base64') })
  })

  it('fails with 1 when the topic is not there, though more input waits', async () => {
    const child = start('produce', 'nowhere', ...at)
    child.stdin.write('one\n')
    const { code, stderr } = await ended(child)
    expect(code).toBe(1)
    expect(stderr).toContain('Create the topic first')
  })

  it('writes what was read before Ctrl-C', async () => {
    const topic = await newTopic()
    const child = start('produce', topic, ...at)
    child.stdin.write('one\ntwo\n')
    await expect.poll(() => values(topic), { timeout: 10_000 }).toHaveLength(2)
    child.kill('SIGINT')
    const { code, stderr } = await ended(child)
    expect(code).toBe(130)
    expect(stderr).toContain('2 records written')
  })

  it('takes 100 MB from a pipe in bounded memory', async () => {
    const topic = await newTopic()
    const child = start('produce', topic, ...at)
    const line = Buffer.concat([Buffer.alloc(999, 'x'), Buffer.from('\n')])
    const chunk = Buffer.concat(Array.from({ length: 100 }, () => line))
    let peakKb = 0
    const watch = setInterval(() => (peakKb = Math.max(peakKb, residentKb(child.pid as number))), 20)
    for (let sent = 0; sent < 1_000; sent++) if (!child.stdin.write(chunk)) await once(child.stdin, 'drain')
    child.stdin.end()
    const { code, stderr } = await ended(child)
    clearInterval(watch)
    expect(code).toBe(0)
    expect(stderr).toContain('100000 records written')
    expect(peakKb).toBeLessThan(400_000)
    expect(await cluster.client.admin.offsets(topic, 0)).toEqual({ earliest: 0, latest: 100_000 })
  }, 60_000)
})

describe('millrace consume', () => {
  it('begins where --from says', async () => {
    const topic = await newTopic()
    const base = Date.parse('2026-01-31T12:00:00Z')
    const records = Array.from({ length: 10 }, (_, n) => ({ topic, value: `r${n}`, timestamp: base + n * 1_000 }))
    await cluster.client.producer().sendAll(records)
    const from = async (where: string): Promise<string> =>
      (await run(['consume', topic, '-e', '-f', where, ...at])).stdout
    expect((await from('earliest')).split('\n')).toHaveLength(11)
    expect(await from('latest')).toBe('')
    expect(await from('offset:8')).toBe('r8\nr9\n')
    expect(await from('2026-01-31T12:00:07.500Z')).toBe('r8\nr9\n')
    expect(await from(String(base + 9_000))).toBe('r9\n')
    const outside = await run(['consume', topic, '-e', '-c', '1', '-f', 'offset:99', ...at])
    expect(outside.code).toBe(0)
    expect((await run(['consume', topic, '-c', '3', ...at])).stdout).toBe('r0\nr1\nr2\n')
    expect((await run(['consume', topic, '-c', '0', ...at])).stdout).toBe('')
  })

  it('goes on until Ctrl-C, and ends with 0', async () => {
    const topic = await newTopic()
    const child = start('consume', topic, ...at)
    const end = ended(child)
    await cluster.client.producer().send({ topic, value: 'first' })
    await once(child.stdout, 'data')
    await cluster.client.producer().send({ topic, value: 'second' })
    await once(child.stdout, 'data')
    const killed = performance.now()
    child.kill('SIGINT')
    expect(await end).toEqual({ code: 0, stdout: 'first\nsecond\n', stderr: '' })
    expect(performance.now() - killed).toBeLessThan(2_000)
  })

  it('ends quietly with 0 when its reader has seen enough', async () => {
    const topic = await newTopic()
    await cluster.client
      .producer()
      .sendAll(Array.from({ length: 20_000 }, (_, n) => ({ topic, value: `${n}`.padEnd(100, 'x') })))
    const child = start('consume', topic, ...at)
    const stderr: Buffer[] = []
    child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
    await once(child.stdout, 'data')
    child.stdout.destroy()
    const [code] = (await once(child, 'exit')) as [number]
    expect({ code, stderr: Buffer.concat(stderr).toString() }).toEqual({ code: 0, stderr: '' })
  })

  it('holds little while its reader is slow', async () => {
    const topic = await newTopic()
    const producer = cluster.client.producer()
    const value = Buffer.alloc(1_000, 'x')
    for (let round = 0; round < 100; round++)
      await producer.sendAll(Array.from({ length: 1_000 }, () => ({ topic, value })))
    const child = start('consume', topic, '-e', ...at)
    child.stdout.pause()
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(residentKb(child.pid as number)).toBeLessThan(400_000)
    let bytes = 0
    child.stdout.on('data', (chunk: Buffer) => (bytes += chunk.length))
    child.stdout.resume()
    const [code] = (await once(child, 'close')) as [number]
    expect({ code, bytes }).toEqual({ code: 0, bytes: 100_100_000 })
  }, 60_000)
})

function residentKb(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0
  }
}
