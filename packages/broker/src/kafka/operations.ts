// What a client may do where nobody is restricted: a bit for each of Kafka's ACL operations, as responses carry them.

const CREATE = 5
const ALTER = 7
const DESCRIBE = 8
const DESCRIBE_CONFIGS = 10
const ALTER_CONFIGS = 11

function bits(...operations: readonly number[]): number {
  return operations.reduce((set, operation) => set | (1 << operation), 0)
}

/** Read, write, create, delete, alter, describe, describe and alter configs. */
export const TOPIC_OPERATIONS = bits(3, 4, CREATE, 6, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS)
/** Create, alter, describe, cluster action, describe and alter configs, idempotent write. */
export const CLUSTER_OPERATIONS = bits(CREATE, ALTER, DESCRIBE, 9, DESCRIBE_CONFIGS, ALTER_CONFIGS, 12)
/** Read, delete, describe, describe and alter configs. */
export const GROUP_OPERATIONS = bits(3, 6, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS)
