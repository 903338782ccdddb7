import {
  array,
  bool,
  ignorable,
  int16,
  int32,
  int64,
  message,
  nullableArray,
  since,
  string,
  struct,
} from '@millrace/schema'
import type { TypeOf } from '@millrace/schema'
import { api } from '../api.ts'

/** What lies in a broker's log directories. Null topics means all. Version 2 is flexible, 4 tells the volume's sizes, 5 whether it is cordoned. */
export const DescribeLogDirsRequest = message({
  key: 35,
  name: 'DescribeLogDirsRequest',
  versions: [1, 5],
  flexible: 2,
  fields: {
    topics: nullableArray(struct({ topic: string, partitions: array(int32) })),
  },
})
export type DescribeLogDirsRequest = TypeOf<typeof DescribeLogDirsRequest>

/** The answer to {@link DescribeLogDirsRequest}; of the same version. */
export const DescribeLogDirsResponse = message({
  key: 35,
  name: 'DescribeLogDirsResponse',
  versions: [1, 5],
  flexible: 2,
  fields: {
    throttleTimeMs: int32,
    errorCode: ignorable(since(3, int16, 0)),
    results: array(
      struct({
        errorCode: int16,
        logDir: string,
        topics: array(
          struct({
            name: string,
            partitions: array(
              struct({ partitionIndex: int32, partitionSize: int64, offsetLag: int64, isFutureKey: bool }),
            ),
          }),
        ),
        totalBytes: ignorable(since(4, int64, -1)),
        usableBytes: ignorable(since(4, int64, -1)),
        isCordoned: ignorable(since(5, bool, false)),
      }),
    ),
  },
})
export type DescribeLogDirsResponse = TypeOf<typeof DescribeLogDirsResponse>

/** {@link DescribeLogDirsRequest} and {@link DescribeLogDirsResponse}, as the registry has them. */
export const DescribeLogDirsApi = api(DescribeLogDirsRequest, DescribeLogDirsResponse)
