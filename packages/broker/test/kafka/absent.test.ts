import { ErrorCode } from '@millrace/base'
import {
  AlterClientQuotasApi,
  CreateAclsApi,
  DeleteAclsApi,
  DescribeAclsApi,
  DescribeClientQuotasApi,
  DescribeTransactionsApi,
  DescribeUserScramCredentialsApi,
  ListTransactionsApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { harness } from './harness.ts'

const FILTER = {
  resourceTypeFilter: 1,
  resourceNameFilter: null,
  patternTypeFilter: 1,
  principalFilter: null,
  hostFilter: null,
  operation: 1,
  permissionType: 1,
}
const ACL = {
  resourceType: 2,
  resourceName: 't',
  resourcePatternType: 3,
  principal: 'User:a',
  host: '*',
  operation: 3,
  permissionType: 3,
}

describe('access rights, which nobody has', () => {
  test.each([1, 2, 3])('are SECURITY_DISABLED in version %i, with words', (version) => {
    const client = harness().connect()
    const refused = { errorCode: ErrorCode.SECURITY_DISABLED, errorMessage: expect.stringContaining('authorizer') }
    expect(client.ask(DescribeAclsApi, version, FILTER)).toMatchObject({ ...refused, resources: [] })
    expect(client.ask(CreateAclsApi, version, { creations: [ACL, ACL] }).results).toMatchObject([refused, refused])
    expect(client.ask(DeleteAclsApi, version, { filters: [FILTER] }).filterResults).toMatchObject([
      { ...refused, matchingAcls: [] },
    ])
  })
})

describe('quotas of clients, which are not enforced', () => {
  const describeQuotas = (
    version: number,
    ...components: { entityType: string; matchType: number; match: string | null }[]
  ) => harness().connect().ask(DescribeClientQuotasApi, version, { components, strict: false })

  test.each([0, 1])('are none in version %i, whatever the filter', (version) => {
    const any = (entityType: string) => ({ entityType, matchType: 2, match: null })
    for (const components of [[], [any('client-id')], [any('user'), any('client-id')], [any('ip')]])
      expect(describeQuotas(version, ...components)).toMatchObject({ errorCode: 0, entries: [] })
    expect(describeQuotas(version, { entityType: 'user', matchType: 0, match: 'a' }).entries).toEqual([])
  })

  test.each([
    ['no entity type', [{ entityType: '', matchType: 2, match: null }]],
    ['an entity type twice', [0, 1].map(() => ({ entityType: 'user', matchType: 1, match: null }))],
    ['an address and a user', ['ip', 'user'].map((entityType) => ({ entityType, matchType: 2, match: null }))],
    ['an exact match without a name', [{ entityType: 'user', matchType: 0, match: null }]],
    ['any match with a name', [{ entityType: 'user', matchType: 2, match: 'a' }]],
    ['an unknown match type', [{ entityType: 'user', matchType: 3, match: null }]],
  ])('filtered by %s are INVALID_REQUEST', (_what, components) => {
    const answer = describeQuotas(1, ...components)
    expect(answer).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, entries: null })
    expect(answer.errorMessage).toMatch(/\w/)
  })

  test('filtered by an entity type that nobody has are UNSUPPORTED_VERSION', () => {
    const answer = describeQuotas(1, { entityType: 'group', matchType: 2, match: null })
    expect(answer).toMatchObject({ errorCode: ErrorCode.UNSUPPORTED_VERSION, entries: null })
  })

  const alter = (entityTypes: readonly string[], ...ops: { key: string; value: number; remove: boolean }[]) => {
    const entity = entityTypes.map((entityType) => ({ entityType, entityName: 'a' }))
    const entries = [{ entity, ops }]
    const answer = harness().connect().ask(AlterClientQuotasApi, 1, { entries, validateOnly: false }).entries[0]
    expect(answer?.entity).toEqual(entity)
    return answer?.errorCode
  }

  test('cannot be set, but removed: there are none', () => {
    const rate = { key: 'producer_byte_rate', value: 1000, remove: false }
    expect(alter(['client-id'], rate)).toBe(ErrorCode.UNSUPPORTED_VERSION)
    expect(alter(['client-id'], { ...rate, remove: true }, rate)).toBe(ErrorCode.UNSUPPORTED_VERSION)
    expect(alter(['user', 'client-id'], { ...rate, remove: true })).toBe(ErrorCode.NONE)
    expect(alter(['ip'], { key: 'connection_creation_rate', value: 0, remove: true })).toBe(ErrorCode.NONE)
  })

  test('of nobody, of nonsense, or of a name that is none are INVALID_REQUEST', () => {
    const remove = { key: 'producer_byte_rate', value: 0, remove: true }
    for (const types of [[], ['group'], ['user', 'user'], ['ip', 'user']])
      expect(alter(types, remove)).toBe(ErrorCode.INVALID_REQUEST)
    expect(alter(['user'], { ...remove, key: 'connection_creation_rate' })).toBe(ErrorCode.INVALID_REQUEST)
    expect(alter(['ip'], remove)).toBe(ErrorCode.INVALID_REQUEST)
  })
})

describe('SCRAM credentials, which nobody has', () => {
  const users = (names: readonly string[] | null) =>
    harness()
      .connect()
      .ask(DescribeUserScramCredentialsApi, 0, { users: names?.map((name) => ({ name })) ?? null })

  test('are none for all users', () => {
    for (const names of [null, []]) expect(users(names)).toMatchObject({ errorCode: 0, results: [] })
  })

  test('are not found for a user, and a user who is asked for twice is told once', () => {
    expect(users(['a', 'b', 'a'])).toMatchObject({
      errorCode: 0,
      results: [
        { user: 'a', errorCode: ErrorCode.DUPLICATE_RESOURCE, credentialInfos: [] },
        { user: 'b', errorCode: ErrorCode.RESOURCE_NOT_FOUND, credentialInfos: [] },
      ],
    })
  })
})

describe('transactions, which nobody coordinates', () => {
  test.each([0, 1, 2])('are none in version %i, and unknown states are named', (version) => {
    const answer = harness()
      .connect()
      .ask(ListTransactionsApi, version, {
        stateFilters: ['Ongoing', 'Sleeping'],
        producerIdFilters: [7],
        durationFilter: -1,
        transactionalIdPattern: null,
      })
    expect(answer).toMatchObject({ errorCode: 0, unknownStateFilters: ['Sleeping'], transactionStates: [] })
  })

  test('are not found by their id', () => {
    const answer = harness()
      .connect()
      .ask(DescribeTransactionsApi, 0, { transactionalIds: ['a', ''] })
    expect(answer.transactionStates).toMatchObject([
      { errorCode: ErrorCode.TRANSACTIONAL_ID_NOT_FOUND, transactionalId: 'a', topics: [] },
      { errorCode: ErrorCode.INVALID_REQUEST, transactionalId: '', topics: [] },
    ])
  })
})
