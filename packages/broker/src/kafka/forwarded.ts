import { ErrorCode, errorName } from '@millrace/base'
import type { Api } from '@millrace/protocol'
import type { Exchange } from './exchange.ts'
import type { Handler, Services } from './services.ts'

/** How long the controller may take for a request that names no time itself. */
export const DEFAULT_TIMEOUT_MS = 30_000
const LONGEST_TIMEOUT_MS = 300_000

/** What a request that the controller decides needs of its broker. */
export interface Forwarded<Request, Response> {
  readonly api: Api<Request, Response>
  timeoutMs(request: Request): number
  /** The answer when no controller decided. */
  failed(request: Request, error: ErrorCode, message: string, version: number): Response
}

/**
 * Sends a request on to the active controller and its answer back, both as the bytes they travel as: the broker decodes the request only so
 * that malformed ones end here, and never re-encodes either.
 */
export function forwardedHandler<Request, Response>(
  services: Services,
  forwarded: Forwarded<Request, Response>,
): Handler<Request, Response> {
  return {
    api: forwarded.api,
    serve(exchange, request) {
      const timeoutMs = Math.min(LONGEST_TIMEOUT_MS, Math.max(1, forwarded.timeoutMs(request)))
      forward(services, exchange, timeoutMs, (error, message) =>
        exchange.respond(forwarded.failed(request, error, message, exchange.version)),
      )
    },
  }
}

function forward<Response>(
  services: Services,
  exchange: Exchange<Response>,
  timeoutMs: number,
  failed: (error: ErrorCode, message: string) => void,
): void {
  const { api, version, clientId, body } = exchange
  const request = { apiKey: api.key, apiVersion: version, clientId: clientId ?? '', body, timeoutMs }
  services.broker.controller.forward(request, (error, answer) =>
    exchange.connection.guard(() => {
      if (answer !== null && error === ErrorCode.NONE) exchange.respondBody(answer)
      else failed(error === ErrorCode.NONE ? ErrorCode.UNKNOWN_SERVER_ERROR : error, explain(error))
    }),
  )
}

function explain(error: ErrorCode): string {
  if (error === ErrorCode.NOT_CONTROLLER)
    return 'no controller is active at the moment; try again once the quorum has elected one'
  if (error === ErrorCode.REQUEST_TIMED_OUT)
    return 'the controller did not decide in time; the request may still be carried out'
  return `the controller did not answer: ${errorName(error)}`
}
