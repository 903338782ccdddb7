import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  fatalExit,
  FATAL_EXIT_CODES,
  MemoryLogger,
  memoryWorld,
  processLogger,
  productionWorld,
  SystemClock,
} from '../src/index.ts'

describe('the log of a process', () => {
  function lines(
    level: 'debug' | 'info',
    write: (log: ReturnType<typeof processLogger>) => void,
  ): Record<string, unknown>[] {
    const written: string[] = []
    write(processLogger({ level, write: (line) => written.push(line) }))
    return written.map((line) => JSON.parse(line) as Record<string, unknown>)
  }

  test('is one JSON object a line, with the fields of the child and of the call', () => {
    const [line] = lines('info', (log) =>
      log.child({ node: 1 }).warn({ partition: 't-0', bytes: 12n }, 'it is late 100 %s'),
    )
    expect(line).toMatchObject({ level: 'warn', node: 1, partition: 't-0', bytes: 12, event: 'it is late 100 %s' })
    expect(line?.['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  })

  test('leaves out what is below its level', () => {
    const all = (log: ReturnType<typeof processLogger>): void => {
      log.debug({}, 'a')
      log.info({}, 'b')
      log.warn({}, 'c')
      log.error({}, 'd')
    }
    expect(lines('info', all).map(({ event }) => event)).toEqual(['b', 'c', 'd'])
    expect(lines('debug', all).map(({ event }) => event)).toEqual(['a', 'b', 'c', 'd'])
  })

  test('shows errors with message, stack and cause, and survives fields that refer to themselves', () => {
    const self: Record<string, unknown> = {}
    self['self'] = self
    const error = new Error('outer', { cause: new Error('inner') })
    const [line] = lines('info', (log) => log.error({ error, self }, 'failed'))
    expect(line?.['error']).toMatchObject({ type: 'Error', message: expect.stringContaining('outer') })
    expect(JSON.stringify(line?.['error'])).toContain('inner')
  })

  test('can be lines for people', () => {
    const written: string[] = []
    const log = processLogger({ pretty: true, write: (line) => written.push(line) })
    log.info({ node: 1, topic: 'a b', peer: 'host:1' }, 'joined')
    log.error({ error: new Error('no luck') }, 'failed')
    const plain = written.map((line) => line.replaceAll(new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g'), ''))
    expect(plain[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}joined node=1 topic="a b" peer=host:1\n$/)
    expect(plain[1]).toMatch(/^\S+ ERROR failed error="no luck"\n {4}Error: no luck\n {8}at /)
  })

  test('in memory keeps the newest lines', () => {
    const log = new MemoryLogger(10)
    const child = log.child({ node: 1 })
    for (let at = 0; at < 25; at++) child.info({ at }, 'tick')
    expect(log.lines.length).toBeLessThanOrEqual(10)
    expect(log.lines.at(-1)).toEqual({ level: 'info', fields: { node: 1, at: 24 }, event: 'tick' })
  })
})

describe('a node that ends itself', () => {
  test('logs the reason and exits with its code', () => {
    const log = new MemoryLogger()
    const codes: number[] = []
    const exit = (code: number): never => {
      codes.push(code)
      throw new Error('exited')
    }
    const fatal = fatalExit(new SystemClock(), log, exit)
    expect(() => fatal('disk-failed', new Error('input/output error'))).toThrow('exited')
    expect(codes).toEqual([FATAL_EXIT_CODES['disk-failed']])
    expect(log.lines[0]).toMatchObject({
      level: 'error',
      fields: { code: 'disk-failed' },
      event: 'the node ends itself',
    })
  })

  test('ends the process for real, with the line written before', () => {
    const program = join(import.meta.dirname, 'programs', 'fatal-process.ts')
    const { status, stdout } = spawnSync(process.execPath, [program])
    expect(status).toBe(FATAL_EXIT_CODES['store-failed'])
    expect(JSON.parse(stdout.toString())).toMatchObject({
      level: 'error',
      code: 'store-failed',
      cause: { message: 'gone' },
    })
  })

  test('in memory throws after it told who watches', () => {
    const told: string[] = []
    const world = memoryWorld({ name: 'one', fatal: (code) => told.push(code) })
    expect(() => world.fatal('broken-invariant', 'why')).toThrow(/node one ended itself: broken-invariant: why/)
    expect(told).toEqual(['broken-invariant'])
  })
})

test('worlds in memory differ in their chance by name, and repeat by seed', () => {
  const draw = (name: string, seed: string): number => memoryWorld({ name, seed }).random.uint32()
  expect(draw('a', 's')).toBe(draw('a', 's'))
  expect(draw('a', 's')).not.toBe(draw('b', 's'))
  expect(draw('a', 's')).not.toBe(draw('a', 't'))
})

test('a world of a process has every part', () => {
  const world = productionWorld({ logger: { level: 'silent' } })
  const parts = ['clock', 'compute', 'disk', 'fatal', 'log', 'peers', 'raftStore', 'random', 'streams', 'timers']
  expect(Object.keys(world).sort()).toEqual(parts)
})
