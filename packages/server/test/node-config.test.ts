import { describe, expect, it } from 'vitest'
import { parseProperties, readNodeConfig } from '../src/index.ts'

const KAFKA_FILE = `
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:20092,2@127.0.0.1:20093,3@127.0.0.1:20094
listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:20092
advertised.listeners=PLAINTEXT://127.0.0.1:19092
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=/tmp/n1/data
offsets.topic.replication.factor=3
num.partitions=1
`

function problemsOf(text: string): string[] {
  return readNodeConfig(text, 'host').problems.map(({ line, message }) => `${line}: ${message}`)
}

describe('properties', () => {
  it('are read as Java reads them: separators, comments, continued lines and escapes', () => {
    const text = '# note\n! note\na=1\nb : two words  \nc three\\\n   four\nd\\=e=\\u0041\\t!\nempty=\n'
    expect(parseProperties(text)).toEqual([
      { key: 'a', value: '1', line: 3 },
      { key: 'b', value: 'two words', line: 4 },
      { key: 'c', value: 'threefour', line: 5 },
      { key: 'd=e', value: 'A\t!', line: 7 },
      { key: 'empty', value: '', line: 8 },
    ])
  })
})

describe('a node configuration', () => {
  it("is read from a Kafka operator's file", () => {
    const { config, problems } = readNodeConfig(KAFKA_FILE, 'host')
    expect(problems).toEqual([])
    expect(config).toMatchObject({
      nodeId: 1,
      broker: true,
      controller: true,
      peer: { bind: { host: '127.0.0.1', port: 20092 }, advertised: { host: '127.0.0.1', port: 20092 } },
      logDirs: ['/tmp/n1/data'],
      metadataDir: '/tmp/n1/data',
      flushMode: 'fsync',
    })
    expect(config?.listeners).toEqual([
      {
        name: 'PLAINTEXT',
        bind: { host: '127.0.0.1', port: 19092 },
        advertised: { host: '127.0.0.1', port: 19092 },
        securityProtocol: 'PLAINTEXT',
      },
    ])
    expect(config?.voters.map(({ id }) => id)).toEqual([1, 2, 3])
    expect(['node.id', 'broker.id'].map((name) => config?.properties.get(name))).toEqual(['1', '1'])
  })

  it('tells the keys that have no effect here', () => {
    expect(readNodeConfig(`${KAFKA_FILE}\nnum.io.threads=8\nssl.keystore.location=/x\n`, 'host').withoutEffect).toEqual(
      expect.arrayContaining(['num.io.threads', 'ssl.keystore.location']),
    )
  })

  it('tells every unknown key and bad value at once, with its line', () => {
    const text = KAFKA_FILE.replace('node.id=1', 'node.id=one').replace(
      'num.partitions=1',
      'num.partitons=1\nsocket.request.max.bytes=-5',
    )
    const problems = problemsOf(text)
    expect(problems).toHaveLength(3)
    expect(problems[0]).toMatch(/^3: node\.id=one: /)
    expect(problems[1]).toBe('12: unknown key "num.partitons": did you mean "num.partitions"?')
    expect(problems[2]).toMatch(/^13: socket\.request\.max\.bytes=-5: /)
  })

  it('names what is missing', () => {
    const problems = problemsOf('')
    expect(problems.some((problem) => problem.includes('node.id is missing'))).toBe(true)
    expect(problems.some((problem) => problem.includes('process.roles is missing'))).toBe(true)
    expect(problems.some((problem) => problem.includes('controller.quorum.voters is missing'))).toBe(true)
  })

  it('refuses a listener that would send clients to 0.0.0.0', () => {
    const text = KAFKA_FILE.replace(
      'listeners=PLAINTEXT://127.0.0.1:19092',
      'listeners=PLAINTEXT://0.0.0.0:19092',
    ).replace('advertised.listeners=PLAINTEXT://127.0.0.1:19092', '')
    expect(problemsOf(text).join()).toContain('name a reachable host in advertised.listeners')
  })

  it('tells clients the host name where a listener names no host', () => {
    const text = KAFKA_FILE.replace('listeners=PLAINTEXT://127.0.0.1:19092', 'listeners=PLAINTEXT://:19092').replace(
      'advertised.listeners=PLAINTEXT://127.0.0.1:19092',
      '',
    )
    expect(readNodeConfig(text, 'box.example').config?.listeners[0]).toMatchObject({
      bind: { host: '0.0.0.0', port: 19092 },
      advertised: { host: 'box.example', port: 19092 },
    })
  })

  it('reaches other nodes by the listener that peer.listener.name names, and shows it to no client', () => {
    const text = KAFKA_FILE.replace(
      'listeners=PLAINTEXT://127.0.0.1:19092,',
      'peer.listener.name=PEER\nlisteners=PLAINTEXT://127.0.0.1:19092,PEER://127.0.0.1:7000,',
    ).replace('map=PLAINTEXT', 'map=PEER:PLAINTEXT,PLAINTEXT')
    const { config, problems } = readNodeConfig(text, 'host')
    expect(problems).toEqual([])
    expect(config?.peer.bind.port).toBe(7000)
    expect(config?.listeners.map(({ name }) => name)).toEqual(['PLAINTEXT'])
    expect(problemsOf(text.replace('name=PEER', 'name=NOBODY')).join()).toContain(
      'listeners has no listener of that name',
    )
  })

  it('finds a peer port for a node that is only a broker', () => {
    const text = KAFKA_FILE.replace('broker,controller', 'broker')
      .replace(',CONTROLLER://127.0.0.1:20092', '')
      .replace('node.id=1', 'node.id=7')
    const { config, problems } = readNodeConfig(text, 'host')
    expect(problems).toEqual([])
    expect(config).toMatchObject({ controller: false, peer: { bind: { host: '127.0.0.1', port: 29092 } } })
  })

  it('refuses a role that does not exist', () => {
    expect(problemsOf(KAFKA_FILE.replace('broker,controller', 'broker,zookeeper')).join()).toContain('process.roles')
  })

  it('refuses a security protocol that is not served', () => {
    expect(problemsOf(KAFKA_FILE.replace('PLAINTEXT:PLAINTEXT', 'PLAINTEXT:SSL')).join()).toContain(
      'asks for SSL, which is not served yet',
    )
  })

  it('refuses a controller that the voters do not name', () => {
    expect(problemsOf(KAFKA_FILE.replace('node.id=1', 'node.id=9')).join()).toContain(
      'does not name this node (node.id=9)',
    )
  })
})

describe('http.listener', () => {
  const httpOf = (value: string, more = ''): unknown =>
    readNodeConfig(`${KAFKA_FILE}\nhttp.listener=${value}\n${more}`, 'host').config?.http

  it('is nowhere unless it is set, and on a node that serves no clients', () => {
    expect(readNodeConfig(KAFKA_FILE, 'host').config?.http).toBeNull()
    expect(httpOf('')).toBeNull()
    expect(httpOf(':8080', 'process.roles=controller')).toBeNull()
  })

  it.each([
    ['10.1.1.1:8080', '10.1.1.1', '10.1.1.1'],
    ['[::1]:8080', '::1', '::1'],
    [':8080', '0.0.0.0', 'node7'],
    ['[::]:8080', '::', 'node7'],
  ])('%s is bound to %s, and told as %s', (value, bound, told) => {
    expect(httpOf(value, 'advertised.listeners=PLAINTEXT://node7:9092')).toEqual({
      bind: { host: bound, port: 8080 },
      advertised: { host: told, port: 8080 },
    })
  })

  it.each(['8080', 'host', 'http://host:8080', 'host:99999'])('%s is told with its line', (value) => {
    expect(problemsOf(`${KAFKA_FILE}http.listener=${value}`)).toEqual([`13: http.listener=${value}: not host:port`])
  })
})
