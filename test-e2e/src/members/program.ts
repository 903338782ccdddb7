// One member of a group as a process of its own, with a client that nobody of this project wrote.
import { joinByKafkaJs } from './kafkajs.ts'
import type { MemberOptions, MemberReport } from './member.ts'
import { joinByPlatformatic } from './platformatic.ts'
import { ReadingsWriter } from './readings.ts'

const options = JSON.parse(process.argv[2] ?? '{}') as MemberOptions
const readings = new ReadingsWriter(options.file)

/** Nobody to tell means that the test is gone, and so is this process at once. */
function tell(report: MemberReport): void {
  if (process.connected) process.send?.(report)
}

function failed(error: unknown): void {
  tell({ kind: 'failed', error: describe(error) })
}

/** With the causes and the lists in which clients hide what the broker said. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { cause, errors = [] } = error as { readonly cause?: unknown; readonly errors?: readonly unknown[] }
  const inner = [...errors, ...(cause === undefined ? [] : [cause])].map(describe)
  return [error.message, ...inner].join(': ')
}

process.on('disconnect', () => process.exit(0))
process.on('uncaughtException', failed)
process.on('unhandledRejection', failed)

const join = options.client === 'kafkajs' ? joinByKafkaJs : joinByPlatformatic
const leave = await join(options, { read: (reading) => readings.add(reading), tell, failed })
tell({ kind: 'started' })
process.on('message', () => {
  void leave()
    .catch(failed)
    .finally(() => process.exit(0))
})
