import type { Stage } from '../core/stage.ts'

/** One row of the table. */
export interface Feature {
  readonly name: string
  /** What it shows, for `--help`. */
  readonly shows: string
  /** A row for Kafka's command line tools alone. */
  readonly toolsOnly?: true
  /** A row that also needs a client of the newer group protocol, be it another one. */
  readonly mixesProtocols?: true
  /** Throws when the client gets anything but Kafka's behaviour. */
  readonly run: (stage: Stage) => Promise<void>
}
