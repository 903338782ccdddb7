import { expect, test } from 'vitest'
import { Exposition, type MetricFamily } from '../../src/http/exposition.ts'

const LAG: MetricFamily = {
  name: 'lag',
  type: 'gauge',
  help: 'How far\nbehind, in \\records.',
  labels: ['group', 'partition'],
}
const TOOK: MetricFamily = { name: 'took', type: 'summary', help: 'How long.', labels: [] }

test('samples of a family stand together, escaped as the text format has it, unknown ones left out', () => {
  const into = new Exposition()
  into.add(LAG, ['a', 0], 1.5)
  into.add(TOOK, [], 0.25, '_sum')
  into.add(LAG, ['a', 1], null)
  into.add(LAG, ['quote " back \\ line \n', 2], Number.POSITIVE_INFINITY)
  into.add(TOOK, [], 3, '_count')
  expect([...into.texts()]).toEqual([
    [
      '# HELP lag How far\\nbehind, in \\\\records.',
      '# TYPE lag gauge',
      'lag{group="a",partition="0"} 1.5',
      'lag{group="quote \\" back \\\\ line \\n",partition="2"} +Inf',
      '',
    ].join('\n'),
    ['# HELP took How long.', '# TYPE took summary', 'took_sum 0.25', 'took_count 3', ''].join('\n'),
  ])
})

test('a family without samples is not told', () => {
  const into = new Exposition()
  into.add(LAG, ['a', 0], null)
  expect([...into.texts()]).toEqual([])
})
