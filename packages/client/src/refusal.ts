import { ErrorCode } from '@millrace/base'
import { KafkaError } from './errors.ts'

/** What of an answer tells whether it is a refusal. */
export interface Answered {
  readonly errorCode: number
  readonly errorMessage?: string | null
}

/** Throws `KafkaError` for an answer with an error, and for one that the broker left out. */
export function refuse(answer: Answered | undefined, what: string): void {
  if (answer === undefined)
    throw new KafkaError(ErrorCode.UNKNOWN_SERVER_ERROR, what, 'the broker left it out of its answer')
  const { errorCode, errorMessage = null } = answer
  if (errorCode !== ErrorCode.NONE) throw new KafkaError(errorCode as ErrorCode, what, errorMessage)
}

/** For topics that must exist: an unknown one stays unknown, so there is nothing to wait for. */
export function refuseFinally(answer: Answered | undefined, what: string): void {
  if (answer?.errorCode !== ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return refuse(answer, what)
  const error = new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, what, 'there is no such topic')
  throw Object.assign(error, { retriable: false })
}
