import type { ClientSpec } from '../core/client.ts'
import { java39, java4 } from './java-clients.ts'
import { kcat } from './kcat.ts'
import { kafkajs, platformatic } from './node-clients.ts'
import { confluent, kafkaPython } from './python-clients.ts'
import { tools } from './tools.ts'

/** Every column of the table, in its order. */
export const CLIENTS: readonly ClientSpec[] = [
  kafkajs,
  platformatic,
  kcat,
  confluent,
  kafkaPython,
  java39,
  java4,
  tools,
]
