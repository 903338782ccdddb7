import { readFileSync } from 'node:fs'
import { parser } from '@prometheus-io/lezer-promql'
import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { createTestCluster } from '../src/index.ts'
import { eventually } from './eventually.ts'
import { parseExposition, type Sample } from './exposition.ts'

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

const file = parse(readFileSync(new URL('../../../deploy/alerts.yaml', import.meta.url), 'utf8')) as {
  readonly groups: readonly { readonly name: string; readonly rules: readonly Rule[] }[]
}
const rules = file.groups.flatMap((group) => group.rules)

/** The texts of all nodes of these kinds in an expression of PromQL; the parser is Prometheus's own grammar. */
function partsOf(expr: string, ...kinds: readonly string[]): string[] {
  const found: string[] = []
  parser.parse(expr).iterate({
    enter: ({ type, from, to }) => {
      if (type.isError) throw new Error(`${expr}: no PromQL at ${from}`)
      if (kinds.includes(type.name)) found.push(expr.slice(from, to))
    },
  })
  return found
}

/** Everything that a cluster tells while one group has rebalanced and another has something left to read. */
async function scraped(): Promise<Sample[]> {
  await using cluster = await createTestCluster({ http: true, properties: { 'group.lag.interval.ms': '50' } })
  const { admin } = cluster.client
  await admin.createTopic({ name: 't', partitions: 1 })
  const producer = cluster.client.producer()
  for (let at = 0; at < 3; at++) await producer.send({ topic: 't', partition: 0, value: 'v' })

  const consumer = new Kafka({ brokers: cluster.bootstrap, logLevel: logLevel.NOTHING }).consumer({ groupId: 'g' })
  await consumer.connect()
  await consumer.subscribe({ topic: 't' })
  const joined = new Promise<void>((resolve) => void consumer.on(consumer.events.GROUP_JOIN, () => resolve()))
  await consumer.run({ eachMessage: async () => {} })
  await joined
  await consumer.disconnect()
  await admin.groups.alterOffsets('late', [{ topic: 't', partition: 0, offset: 1 }])
  return await eventually('the lag', async () => {
    const samples = parseExposition(await (await fetch(`${cluster.http[0]}/metrics`)).text())
    return samples.some(({ name }) => name === 'kafka_consumergroup_group_max_lag_seconds') ? samples : null
  })
}

describe('the alert rules', () => {
  it('use metrics, labels and statuses that nodes tell, and nothing else', { timeout: 30_000 }, async () => {
    const labels = new Map<string, Set<string>>()
    for (const sample of await scraped()) labels.set(sample.name, new Set(Object.keys(sample.labels)))
    for (const { alert, expr, annotations } of rules) {
      const [name = '', ...others] = partsOf(expr, 'VectorSelector').map((selector) => selector.replace(/[{[].*/, ''))
      for (const used of [name, ...others]) expect([...labels.keys()], `${alert}: ${used}`).toContain(used)
      const told = new Set([...(labels.get(name) ?? []), 'instance'])
      for (const matched of partsOf(expr, 'LabelName')) expect(told, `${alert}: ${matched}`).toContain(matched)
      for (const text of Object.values(annotations))
        for (const [, used] of text.matchAll(/\$labels\.(\w+)/g)) expect(told, `${alert}: ${used}`).toContain(used)
    }
  })

  it('are complete: a name, an expression, how urgent it is, and what to do', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length)
    for (const { alert, expr, labels, annotations, for: pause = '0s' } of rules) {
      expect(alert).toMatch(/^Millrace[A-Za-z]+$/)
      expect(partsOf(expr, 'VectorSelector')).not.toEqual([])
      expect(['warning', 'critical']).toContain(labels['severity'])
      expect(pause).toMatch(/^\d+[smh]$/)
      expect(Object.keys(annotations)).toEqual(['summary', 'description'])
    }
  })

  it('warn of groups that fall behind, stop, stall, lose records or rebalance without end', () => {
    const statuses = rules.flatMap(({ expr }) => partsOf(expr, 'StringLiteral'))
    expect(new Set(statuses)).toEqual(new Set(['"STOP"', '"STALL"']))
    const used = rules.map(({ expr }) => expr).join('\n')
    for (const name of ['group_max_lag_seconds', 'seconds_to_retention', 'rebalances_total'])
      expect(used).toContain(name)
  })
})
