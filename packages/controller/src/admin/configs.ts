import type { ConfigOperation, ConfigTarget, Outcome } from '@millrace/metadata'
import type {
  AlterConfigsRequest,
  AlterConfigsResponse,
  IncrementalAlterConfigsRequest,
  IncrementalAlterConfigsResponse,
} from '@millrace/protocol'
import type { AdminHandler } from './admin.ts'

const OPERATIONS = ['set', 'delete', 'append', 'subtract'] as const

export const incrementalAlterConfigs: AdminHandler<IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse> = (
  parts,
  request,
  reply,
) => {
  const resources = request.resources.map(({ resourceType, resourceName, configs }) => ({
    kind: resourceType,
    name: resourceName,
    operations: configs.map(({ name, configOperation, value }): ConfigOperation => {
      const operation = OPERATIONS[configOperation]
      // An operation that nobody knows is refused as one without the value that it needs.
      return operation === undefined ? { name, operation: 'set', value: null } : { name, operation, value }
    }),
  }))
  const { validateOnly } = request
  parts.proposals.ask({ kind: 'incrementalAlterConfigs', resources, validateOnly }, (results, index) => {
    reply(results === null ? null : { throttleTimeMs: 0, responses: results.map(answered) }, index)
  })
}

export const alterConfigs: AdminHandler<AlterConfigsRequest, AlterConfigsResponse> = (parts, request, reply) => {
  const resources = request.resources.map(({ resourceType, resourceName, configs }) => ({
    kind: resourceType,
    name: resourceName,
    configs,
  }))
  const { validateOnly } = request
  parts.proposals.ask({ kind: 'alterConfigs', resources, validateOnly }, (results, index) => {
    reply(results === null ? null : { throttleTimeMs: 0, responses: results.map(answered) }, index)
  })
}

function answered({ kind, name, error, message }: Outcome & ConfigTarget): AlterConfigsResponse['responses'][number] {
  return { errorCode: error, errorMessage: message, resourceType: kind, resourceName: name }
}
