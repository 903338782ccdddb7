import { type Operation, Violation } from '../seams.ts'

/** Of one kind so many are told; the rest is mostly the same again. */
const MOST_OF_A_KIND = 5

/** What the checks of a history found. */
export class Findings {
  readonly violations: Violation[] = []
  private readonly counts = new Map<string, number>()

  add(invariant: string, detail: string, ...operations: readonly (Operation | undefined)[]): void {
    const count = (this.counts.get(invariant) ?? 0) + 1
    this.counts.set(invariant, count)
    if (count > MOST_OF_A_KIND) return
    const told = operations.filter((operation) => operation !== undefined).map((each) => `\n  ${tell(each)}`)
    this.violations.push(new Violation(invariant, detail + told.join('')))
  }
}

/** An operation as a line. */
export function tell(operation: Operation): string {
  const { client, kind, invokedUs, endedUs, outcome, topic, partition, values, acks, from, error } = operation
  const asked = operation.asked === undefined ? '' : ` ${operation.asked}`
  const place = partition < 0 ? topic : `${topic}-${partition}`
  const details = [
    acks === undefined ? '' : `acks ${acks}`,
    from === undefined ? '' : `from ${from}`,
    operation.answer === undefined ? '' : `answer ${operation.answer}`,
    operation.copies === undefined ? '' : `copies ${operation.copies}`,
    operation.connection === undefined ? '' : `connection ${operation.connection}`,
    operation.epoch === undefined ? '' : `epoch ${operation.epoch}`,
    operation.highWatermark === undefined ? '' : `watermark ${operation.highWatermark}`,
    operation.logStart === undefined ? '' : `log start ${operation.logStart}`,
    error === undefined || error === 0 ? '' : `error ${error}`,
    tellValues(values),
  ].filter((detail) => detail !== '')
  return `${seconds(invokedUs)} to ${seconds(endedUs)} ${client} ${kind}${asked} ${place}: ${outcome}, ${details.join(', ')}`
}

function tellValues(values: Operation['values']): string {
  const one = (at: number): string => `${values[at]?.value} at ${values[at]?.offset}`
  if (values.length === 0) return ''
  return values.length === 1 ? one(0) : `${values.length} values: ${one(0)} to ${one(values.length - 1)}`
}

function seconds(us: number): string {
  return Number.isFinite(us) ? (us / 1e6).toFixed(6) : 'never'
}
