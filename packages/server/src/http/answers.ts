import { ErrorCode } from '@millrace/base'
import { type Broker, HTTP_LISTENER } from '@millrace/broker'
import type { GroupView } from '@millrace/groups'
import { EXPOSITION_TYPE } from './exposition.ts'
import { groupDetail, groupRebalances, groupSummary, isoTime } from './group-views.ts'
import { metricsOf } from './metrics.ts'

/** What a request comes to. */
export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: Iterable<string>
  readonly headers?: Readonly<Record<string, string>>
}

const ENDPOINTS = ['/metrics', '/groups', '/groups/NAME', '/groups/NAME/rebalances']
const JSON_TYPE = 'application/json; charset=utf-8'

/** Answers a GET of a path, which may be anything. */
export async function answerTo(broker: Broker, path: string): Promise<Answer> {
  const [first = '', name, what, ...rest] = path.split('/').slice(1)
  if (first === 'metrics' && name === undefined)
    return { status: 200, type: EXPOSITION_TYPE, body: await metricsOf(broker) }
  if (first === '' && name === undefined) return json(200, { node: broker.context.config.nodeId, endpoints: ENDPOINTS })
  if (first !== 'groups' || rest.length > 0 || (what !== undefined && what !== 'rebalances')) return unknownPath(path)
  if (name === undefined) return json(200, listOf(broker))
  const groupId = decoded(name)
  if (groupId === null)
    return problem(400, 'BAD_PATH', `"${name}" is no group's name: a percent sign must begin an escape.`)
  const view = broker.context.groups.view(groupId)
  if (typeof view === 'number') return refusal(broker, groupId, view)
  return json(
    200,
    what === undefined ? detailOf(broker, view) : groupRebalances(view, broker.lags.of(view), broker.context.image),
  )
}

/** An error as JSON: what, in words, and what may help to go on. */
export function problem(status: number, error: string, message: string, more: object = {}): Answer {
  return json(status, { error, message, ...more })
}

function json(status: number, value: object): Answer {
  return { status, type: JSON_TYPE, body: [`${JSON.stringify(value, null, 2)}\n`] }
}

function unknownPath(path: string): Answer {
  return problem(404, 'NO_SUCH_PATH', `There is nothing at ${path}.`, { endpoints: ENDPOINTS })
}

function listOf(broker: Broker): object {
  const { config, image } = broker.context
  return {
    node: config.nodeId,
    surveyedAt: isoTime(broker.lags.surveyedMs),
    groups: Array.from(broker.lags.all(), groupSummary),
    otherNodes: [...image.brokers.values()]
      .filter(({ id, fenced }) => id !== config.nodeId && !fenced)
      .map(({ id }) => ({ node: id, url: urlOf(broker, id) })),
  }
}

function detailOf(broker: Broker, view: GroupView): object {
  const detail = groupDetail(broker.lags.of(view), view.roster())
  return { node: broker.context.config.nodeId, surveyedAt: isoTime(broker.lags.surveyedMs), ...detail }
}

/** Where another node's endpoint is; null when it has none. */
function urlOf(broker: Broker, nodeId: number): string | null {
  const endpoint = broker.context.image.brokers.get(nodeId)?.endpoints.find(({ name }) => name === HTTP_LISTENER)
  if (endpoint === undefined) return null
  return `http://${endpoint.host.includes(':') ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`
}

function refusal(broker: Broker, groupId: string, error: ErrorCode): Answer {
  if (error === ErrorCode.GROUP_ID_NOT_FOUND)
    return problem(404, 'GROUP_ID_NOT_FOUND', `There is no group "${groupId}": this node would coordinate it.`)
  if (error === ErrorCode.NOT_COORDINATOR) return elsewhere(broker, groupId)
  const loading = error === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
  const why = loading ? 'Its coordinator is reading its log.' : 'It has no coordinator now.'
  const name = loading ? 'COORDINATOR_LOAD_IN_PROGRESS' : 'COORDINATOR_NOT_AVAILABLE'
  const answer = problem(503, name, `Nothing is known of group "${groupId}" yet. ${why} Ask again in a second.`)
  return { ...answer, headers: { 'retry-after': '1' } }
}

function elsewhere(broker: Broker, groupId: string): Answer {
  const node = broker.context.groups.homeOf(groupId)?.leader ?? -1
  const url = urlOf(broker, node)
  const where = url === null ? 'which has no HTTP endpoint (http.listener)' : `at ${url}`
  const told = node === -1 ? 'No node coordinates it now.' : `Node ${node} does, ${where}.`
  const coordinator = node === -1 ? null : { node, url }
  return problem(404, 'NOT_COORDINATOR', `This node does not coordinate group "${groupId}". ${told}`, { coordinator })
}

function decoded(name: string): string | null {
  try {
    return decodeURIComponent(name)
  } catch {
    return null
  }
}
