/** One sample of Prometheus's text format. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*/
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|(?=\}))/

/**
 * Reads the text format as its specification has it, and throws where the text is none: lines that are no samples, samples without a TYPE
 * before them, families that are torn apart, samples that are there twice.
 */
export function parseExposition(text: string): Sample[] {
  if (!text.endsWith('\n')) throw new Error('the last line does not end')
  const samples: Sample[] = []
  const ended = new Set<string>()
  const seen = new Set<string>()
  let family = { name: '', type: '' }
  for (const line of text.slice(0, -1).split('\n')) {
    if (line.startsWith('# HELP ')) continue
    const declared = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line)
    if (declared !== null) {
      if (ended.has(declared[1] as string)) throw new Error(`${declared[1]} is there twice`)
      ended.add(declared[1] as string)
      family = { name: declared[1] as string, type: declared[2] as string }
      continue
    }
    const sample = parseSample(line)
    const suffixes = family.type === 'summary' ? ['_sum', '_count'] : ['']
    if (!suffixes.some((suffix) => family.name + suffix === sample.name))
      throw new Error(`${line}: not of ${family.name}`)
    const key = line.slice(0, line.lastIndexOf(' '))
    if (seen.has(key)) throw new Error(`${key} is there twice`)
    seen.add(key)
    samples.push(sample)
  }
  return samples
}

function parseSample(line: string): Sample {
  const name = NAME.exec(line)?.[0]
  if (name === undefined) throw new Error(`no sample: ${line}`)
  let rest = line.slice(name.length)
  const labels: Record<string, string> = {}
  if (rest.startsWith('{')) {
    rest = rest.slice(1)
    while (!rest.startsWith('}')) {
      const label = LABEL.exec(rest)
      if (label === null) throw new Error(`no label at ${rest}`)
      labels[label[1] as string] = (label[2] as string).replaceAll(/\\(.)/g, (_, one: string) =>
        one === 'n' ? '\n' : one,
      )
      rest = rest.slice(label[0].length)
    }
    rest = rest.slice(1)
  }
  const value = /^ (\+Inf|-Inf|NaN|[-+]?[0-9.]+(?:e[-+]?[0-9]+)?)$/.exec(rest)?.[1]
  if (value === undefined) throw new Error(`no value: ${line}`)
  return { name, labels, value: value.endsWith('Inf') ? Number(value.replace('Inf', 'Infinity')) : Number(value) }
}
