/** One kind of Prometheus metric; `summary` stands for a `_sum` and a `_count`. */
export interface MetricFamily {
  readonly name: string
  readonly type: 'gauge' | 'counter' | 'summary'
  readonly help: string
  readonly labels: readonly string[]
}

/** The media type of what {@link Exposition} writes. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * Samples in Prometheus's text format, in which all samples of a family stand together, in whatever order they were added. A library would keep
 * every sample of every group from one scrape to the next; here nothing stays.
 */
export class Exposition {
  private readonly families = new Map<MetricFamily, string[]>()

  /** `values` are those of the family's labels, in their order; `suffix` is that of a summary. Unknown samples (null) are left out. */
  add(
    family: MetricFamily,
    values: readonly (string | number)[],
    sample: number | null,
    suffix: '' | '_sum' | '_count' = '',
  ): void {
    if (sample === null) return
    let lines = this.families.get(family)
    if (lines === undefined) this.families.set(family, (lines = []))
    const labels = family.labels.map((label, at) => `${label}="${escaped(String(values[at] ?? ''))}"`).join(',')
    lines.push(`${family.name}${suffix}${labels === '' ? '' : `{${labels}}`} ${numberText(sample)}\n`)
  }

  /** One text for each family. */
  *texts(): Iterable<string> {
    for (const [{ name, help, type }, lines] of this.families)
      yield `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n${lines.join('')}`
  }
}

function escaped(value: string): string {
  return /[\\"\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf'
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}
