import type { ErrorCode } from '@millrace/base'
import type { GroupRequest, Reply } from '@millrace/groups'
import type { Exchange } from './exchange.ts'
import type { Services } from './services.ts'

/** What is asked of a group's coordinator, and what its answer, or the want of one, means to the client. */
export interface Asked<R, Answer> {
  readonly groupId: string
  request(reply: Reply<R>): GroupRequest
  answered(response: R): Answer
  failed(error: ErrorCode): Answer
}

/**
 * Asks about one group and responds with the answer, now or much later. What is asked must hold nothing of the request's bytes: they are
 * given up. A client that goes away is not answered, and its question is dropped.
 */
export function askGroup<R, Response>(
  services: Services,
  exchange: Exchange<Response>,
  asked: Asked<R, Response>,
): void {
  askGroups(services, exchange, [asked], ([answer]) => answer as Response)
}

/** The same about several groups: one response once all are answered, with the answers in their order. */
export function askGroups<R, Answer, Response>(
  services: Services,
  exchange: Exchange<Response>,
  asked: readonly Asked<R, Answer>[],
  respond: (answers: readonly Answer[]) => Response,
): void {
  const answers: Answer[] = []
  const drops: (() => void)[] = []
  let missing = asked.length + 1
  const settle = (): void => {
    if (--missing === 0) exchange.respond(respond(answers))
  }
  // Called in the midst of others' answers, which a failure here must not touch.
  const take = (at: number, answer: () => Answer): void =>
    exchange.connection.guard(() => {
      answers[at] = answer()
      settle()
    })
  exchange.forgetBody()
  asked.forEach((one, at) => {
    const drop = services.broker.groups.ask<R>({
      groupId: one.groupId,
      request: (reply) => one.request(reply),
      answered: (response) => take(at, () => one.answered(response)),
      failed: (error) => take(at, () => one.failed(error)),
    })
    drops.push(drop)
  })
  settle()
  if (exchange.finished) return
  exchange.onAbandoned = () => {
    for (const drop of drops) drop()
  }
}

/** The address of a client as Kafka writes it: `/127.0.0.1`. */
export function clientHost({ connection }: Exchange): string {
  const { remote } = connection
  const colon = remote.lastIndexOf(':')
  return `/${(colon < 0 ? remote : remote.slice(0, colon)).replace(/^\[(.*)\]$/, '$1')}`
}
