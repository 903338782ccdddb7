import { describe, expect, it } from 'vitest'
import { simulate } from '../../src/user/simulate.ts'

describe('a workload of a user', () => {
  it('sees every value that was acknowledged, in the order of its sends, when nothing fails', async () => {
    const values = Array.from({ length: 20 }, (_, at) => `value ${at}`)
    let read: string[] = []
    const report = await simulate({
      seed: 1,
      faults: false,
      async workload(cluster) {
        await cluster.createTopic('one', { partitions: 2 })
        for (const value of values) await cluster.send('one', 1, value)
        read = await cluster.read('one', 1)
      },
    })
    expect(report.violation).toBeNull()
    expect(read).toEqual(values)
    expect(report.faults).toEqual({})
  }, 60_000)

  it('makes a violation of what it rejects with', async () => {
    const report = await simulate({
      seed: 1,
      nodes: 1,
      faults: false,
      workload: () => Promise.reject(new Error('an order is lost')),
    })
    expect(report.violation).toMatchObject({
      invariant: 'workload',
      detail: expect.stringContaining('an order is lost'),
    })
  }, 60_000)

  it('makes a violation of a rejection that nobody handles', async () => {
    const report = await simulate({
      seed: 1,
      nodes: 1,
      faults: false,
      async workload(cluster) {
        void Promise.reject(new Error('forgotten'))
        await cluster.sleep(1_000)
      },
    })
    expect(report.violation).toMatchObject({
      invariant: 'unhandled-rejection',
      detail: expect.stringContaining('forgotten'),
    })
  }, 60_000)

  it('may not wait for ever', async () => {
    const report = await simulate({ seed: 1, nodes: 1, faults: false, workload: () => new Promise(() => undefined) })
    expect(report.violation?.invariant).toBe('clients-come-to-an-end')
  }, 60_000)

  it('gives the same run twice', async () => {
    const workload = async (cluster: Parameters<Parameters<typeof simulate>[0]['workload']>[0]): Promise<void> => {
      await cluster.createTopic('one')
      for (let at = 0; at < 30; at++) await cluster.send('one', 0, `value ${at}`)
      await cluster.healed
    }
    const [first, second] = [await simulate({ seed: 3, workload }), await simulate({ seed: 3, workload })]
    expect(first.digest).toBe(second.digest)
    expect(first.violation).toBeNull()
  }, 60_000)
})
