// A logging proxy: `node record.ts LISTEN_PORT BROKER_PORT OUT.jsonl CLIENT [LOWER_BY [KEY]]`. It listens at the address that a Kafka broker
// advertises and writes every frame that passes, one JSON line each. It lowers the versions that the broker offers to the ones declared
// here, less LOWER_BY (of all APIs, or of one), so that the same programs can be made to speak every version. `collect.ts` makes the fixture of the lines.
import { appendFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { ErrorCode } from '@millrace/base'
import { apiByKey, ApiVersionsApi, decodeResponse, encodeResponse } from '../../src/index.ts'
import type { Api } from '../../src/index.ts'

const [listenPort, brokerPort, out, client, lowerBy, lowerKey] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string | undefined,
  string | undefined,
]
const lower = Number(lowerBy ?? 0)
const lowers = (key: number): boolean => lowerKey === undefined || key === Number(lowerKey)

interface Asked {
  readonly key: number
  readonly version: number
}

createServer((downstream) => {
  const upstream = connect(Number(brokerPort), '127.0.0.1')
  const asked = new Map<number, Asked>()
  frames(downstream, (frame) => {
    const request = { key: frame.readInt16BE(0), version: frame.readInt16BE(2) }
    asked.set(frame.readInt32BE(4), request)
    log('request', request, frame)
    if (request.key === ApiVersionsApi.key && request.version > offered(ApiVersionsApi))
      send(downstream, refusal(frame.readInt32BE(4)))
    else send(upstream, [frame])
  })
  frames(upstream, (frame) => {
    const request = asked.get(frame.readInt32BE(0))
    if (request !== undefined) log('response', request, frame)
    send(downstream, request?.key === ApiVersionsApi.key ? lowered(request.version, frame) : [frame])
  })
  for (const [one, other] of [
    [downstream, upstream],
    [upstream, downstream],
  ] as const) {
    one.on('close', () => other.destroy())
    one.on('error', () => other.destroy())
  }
}).listen(Number(listenPort), '127.0.0.1')

function frames(socket: Socket, each: (frame: Buffer) => void): void {
  let held = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk])
    while (held.length >= 4 && held.length >= 4 + held.readInt32BE(0)) {
      const end = 4 + held.readInt32BE(0)
      each(held.subarray(4, end))
      held = held.subarray(end)
    }
  })
}

function send(socket: Socket, frame: readonly Buffer[]): void {
  const size = Buffer.alloc(4)
  size.writeInt32BE(frame.reduce((sum, part) => sum + part.length, 0))
  socket.write(Buffer.concat([size, ...frame]))
}

function log(direction: 'request' | 'response', { key, version }: Asked, frame: Buffer): void {
  appendFileSync(out, `${JSON.stringify({ key, version, direction, client, hex: frame.toString('hex') })}\n`)
}

/** The last version of an API that clients are let know of. */
function offered(api: Api, theirs = Infinity): number {
  return Math.max(api.versions[0], Math.min(theirs, api.versions[1]) - (lowers(api.key) ? lower : 0))
}

function lowered(version: number, frame: Buffer): Buffer[] {
  const { correlationId, value } = decodeResponse(ApiVersionsApi, version, frame)
  const apiKeys = value.apiKeys.map((range) => {
    const declared = apiByKey(range.apiKey)
    return declared === undefined ? range : { ...range, maxVersion: offered(declared, range.maxVersion) }
  })
  return withoutLength(encodeResponse(ApiVersionsApi, version, correlationId, { ...value, apiKeys }))
}

function refusal(correlationId: number): Buffer[] {
  const value = {
    errorCode: ErrorCode.UNSUPPORTED_VERSION,
    apiKeys: [{ apiKey: ApiVersionsApi.key, minVersion: 0, maxVersion: offered(ApiVersionsApi) }],
    throttleTimeMs: 0,
    supportedFeatures: [],
    finalizedFeaturesEpoch: -1,
    finalizedFeatures: [],
    zkMigrationReady: false,
  }
  return withoutLength(encodeResponse(ApiVersionsApi, 0, correlationId, value))
}

function withoutLength(parts: readonly Uint8Array[]): Buffer[] {
  return [Buffer.concat(parts).subarray(4)]
}
