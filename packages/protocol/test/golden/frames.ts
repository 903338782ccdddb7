import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { apiByKey } from '../../src/index.ts'
import type { Api } from '../../src/index.ts'

/** A frame that somebody else's program put on the wire, without the four bytes of its length. */
export interface GoldenFrame {
  readonly api: Api
  readonly version: number
  readonly direction: 'request' | 'response'
  /** The program that sent the request, or that got the response from Apache Kafka 4.3.1. */
  readonly client: string
  readonly frame: Uint8Array
}

/**
 * What `record.ts` saw pass between Apache Kafka 4.3.1 and its Java clients 4.3.1, kafkajs 2.2.4, @platformatic/kafka 2.12.1 and kcat 1.7.1
 * (librdkafka 2.0.2). The client `broker` marks responses to requests that none of these programs sends any more. Lines: key, version,
 * direction, client, hex.
 */
export function goldenFrames(): GoldenFrame[] {
  const text = readFileSync(join(dirname(fileURLToPath(import.meta.url)), 'frames.txt'), 'utf8')
  return text.split('\n').flatMap((line) => {
    const [key, version, direction, client, hex] = line.split(' ')
    const api = apiByKey(Number(key))
    if (api === undefined || hex === undefined || client === undefined) return []
    return [
      {
        api,
        version: Number(version),
        direction: direction as 'request' | 'response',
        client,
        frame: Uint8Array.from(Buffer.from(hex, 'hex')),
      },
    ]
  })
}
