import {
  array,
  bool,
  ignorable,
  int16,
  int32,
  int8,
  message,
  nullableArray,
  nullableString,
  since,
  string,
  struct,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** Configurations with their sources. Null keys means all of them. Version 3 brings types and documentation, 4 is flexible. */
export const DescribeConfigsRequest = message({
  key: 32,
  name: 'DescribeConfigsRequest',
  versions: [1, 4],
  flexible: 4,
  fields: {
    resources: array(struct({ resourceType: int8, resourceName: string, configurationKeys: nullableArray(string) })),
    includeSynonyms: bool,
    includeDocumentation: since(3, bool, false),
  },
})
export type DescribeConfigsRequest = TypeOf<typeof DescribeConfigsRequest>

/** The answer to {@link DescribeConfigsRequest}; of the same version. */
export const DescribeConfigsResponse = message({
  key: 32,
  name: 'DescribeConfigsResponse',
  versions: [1, 4],
  flexible: 4,
  fields: {
    throttleTimeMs: int32,
    results: array(
      struct({
        errorCode: int16,
        errorMessage: nullableString,
        resourceType: int8,
        resourceName: string,
        configs: array(
          struct({
            name: string,
            value: nullableString,
            readOnly: bool,
            configSource: int8,
            isSensitive: bool,
            synonyms: array(struct({ name: string, value: nullableString, source: int8 })),
            configType: ignorable(since(3, int8, 0)),
            documentation: ignorable(since(3, nullableString, null)),
          }),
        ),
      }),
    ),
  },
})
export type DescribeConfigsResponse = TypeOf<typeof DescribeConfigsResponse>

/** {@link DescribeConfigsRequest} and {@link DescribeConfigsResponse}, as the registry has them. */
export const DescribeConfigsApi = api(DescribeConfigsRequest, DescribeConfigsResponse)
