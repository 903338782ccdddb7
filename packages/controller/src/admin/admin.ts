import { BrokenInvariant, ErrorCode } from '@millrace/base'
import type { Logger, Properties } from '@millrace/base'
import type { ClusterImage } from '@millrace/metadata'
import { apiByKey } from '@millrace/protocol'
import type { Api } from '@millrace/protocol'
import { decode, DecodeError, encodeToBytes } from '@millrace/schema'
import { Undecidable } from '../proposals.ts'
import type { Proposals } from '../proposals.ts'
import type { Quorum, VoterAddress } from '../quorum/types.ts'
import { alterConfigs, incrementalAlterConfigs } from './configs.ts'
import { describeQuorum } from './describe-quorum.ts'
import { electLeaders } from './elect-leaders.ts'
import { alterPartitionReassignments, listPartitionReassignments } from './reassignments.ts'
import { createPartitions, createTopics, deleteTopics } from './topics.ts'
import { unregisterBroker } from './unregister-broker.ts'
import { updateFeatures } from './update-features.ts'

export interface AdminParts {
  readonly proposals: Proposals
  readonly quorum: Quorum
  readonly image: ClusterImage
  readonly properties: Properties
  readonly voters: readonly VoterAddress[]
  readonly log: Logger
}

/** A client's request as a broker passed it on: body without header. */
export interface Forwarded {
  readonly apiKey: number
  readonly apiVersion: number
  readonly body: Uint8Array
}

/** `error` ≠ 0: nothing was decided, and `body` is empty. */
export interface ForwardAnswer {
  readonly error: ErrorCode
  readonly index: number
  readonly body: Uint8Array
}

/** The answer of one handler once it is committed; null when this controller was deposed. */
export type Reply<R> = (response: R | null, index: number) => void
export type AdminHandler<Q, R> = (parts: AdminParts, request: Q, reply: Reply<R>, version: number) => void

const HANDLERS: ReadonlyMap<number, AdminHandler<never, unknown>> = new Map<number, AdminHandler<never, unknown>>([
  [19, createTopics],
  [20, deleteTopics],
  [33, alterConfigs],
  [37, createPartitions],
  [43, electLeaders],
  [44, incrementalAlterConfigs],
  [45, alterPartitionReassignments],
  [46, listPartitionReassignments],
  [55, describeQuorum],
  [57, updateFeatures],
  [64, unregisterBroker],
])

const NO_BODY = new Uint8Array(0)
/** What fits into a frame between nodes. */
const MAX_BODY_BYTES = 15 * 1024 * 1024

/** Decides the admin requests of Kafka's clients. */
export class Admin {
  private readonly parts: AdminParts

  constructor(parts: AdminParts) {
    this.parts = parts
  }

  handle({ apiKey, apiVersion, body }: Forwarded, answered: (answer: ForwardAnswer) => void): void {
    const api = apiByKey(apiKey)
    const handler = HANDLERS.get(apiKey)
    const refuse = (error: ErrorCode): void => answered({ error, index: -1, body: NO_BODY })
    if (api === undefined || handler === undefined || apiVersion < api.versions[0] || apiVersion > api.versions[1])
      return refuse(ErrorCode.UNSUPPORTED_VERSION)
    const request = decoded(api, apiVersion, body)
    if (request === null) return refuse(ErrorCode.INVALID_REQUEST)
    const reply: Reply<unknown> = (response, index) => {
      if (response === null) return refuse(ErrorCode.NOT_CONTROLLER)
      const answer = encodeToBytes(api.response, apiVersion, response)
      if (answer.length > MAX_BODY_BYTES) refuse(ErrorCode.UNKNOWN_SERVER_ERROR)
      else answered({ error: ErrorCode.NONE, index, body: answer })
    }
    try {
      handler(this.parts, request as never, reply, apiVersion)
    } catch (error) {
      // Nothing was decided. The next controller would get the same request, so it must not end this one.
      if (error instanceof BrokenInvariant) throw error
      this.parts.log.error({ api: api.name, error }, 'a request could not be decided')
      refuse(error instanceof Undecidable ? ErrorCode.POLICY_VIOLATION : ErrorCode.UNKNOWN_SERVER_ERROR)
    }
  }
}

function decoded(api: Api, version: number, body: Uint8Array): unknown {
  try {
    return decode(api.request, version, body)
  } catch (error) {
    if (error instanceof DecodeError) return null
    throw error
  }
}
