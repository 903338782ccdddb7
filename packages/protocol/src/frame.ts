import { ErrorCode } from '@millrace/base'
import { decodeFrom, EncodeError, encodeTo, Reader, Writer } from '@millrace/schema'
import type { DecodeLimits } from '@millrace/schema'
import type { Api } from './api.ts'
import { readRequestHeader, readResponseHeader, writeRequestHeader, writeResponseHeader } from './header.ts'
import type { RequestHeader } from './header.ts'
import { ApiVersionsApi } from './messages/18-api-versions.ts'
import type { ApiVersionsResponse } from './messages/18-api-versions.ts'

/** A response may list every partition of a large cluster, and the broker that sends it was chosen by the client. */
const RESPONSE_LIMITS: DecodeLimits = { maxElements: 10_000_000 }

/** A request as it came in. The value is of the type of `header.api.request`. */
export interface DecodedRequest {
  readonly header: RequestHeader
  /** Null when `header.supported` is false. */
  readonly value: unknown
  /** Where the body ends in the frame. */
  readonly bodyEnd: number
}

/**
 * A whole request frame, without the four bytes of its length. Byte fields are views of the frame. Throws `DecodeError` for anything that
 * does not begin with one request of a served version: the connection is then closed without an answer. What follows the request in its
 * frame is ignored, as Kafka does: librdkafka 2.16 leaves three bytes behind a Metadata request for all topics.
 */
export function decodeRequest(frame: Uint8Array): DecodedRequest {
  const reader = new Reader(frame)
  const header = readRequestHeader(reader)
  if (!header.supported) return { header, value: null, bodyEnd: frame.length }
  const value = decodeFrom(header.api.request, header.apiVersion, reader)
  return { header, value, bodyEnd: reader.at }
}

/**
 * A response as the parts of one vectored write, the four bytes of its length first. Long record and byte fields are parts by reference and
 * must not change until they are sent. Throws `EncodeError` when the version cannot hold the value.
 */
export function encodeResponse<R>(
  api: Api<unknown, R>,
  version: number,
  correlationId: number,
  value: R,
): Uint8Array[] {
  const writer = new Writer()
  writer.int32(0)
  writeResponseHeader(writer, api, version, correlationId)
  encodeTo(api.response, version, value, writer)
  return framed(writer)
}

/** A request as parts, like {@link encodeResponse}. */
export function encodeRequest<Q>(
  api: Api<Q>,
  version: number,
  correlationId: number,
  clientId: string | null,
  value: Q,
): Uint8Array[] {
  const writer = new Writer()
  writer.int32(0)
  writeRequestHeader(writer, api, { version, correlationId, clientId })
  encodeTo(api.request, version, value, writer)
  return framed(writer)
}

/** The correlation id that a response frame starts with, to find out which request it answers. Throws `DecodeError` when it is cut short. */
export function responseCorrelationId(frame: Uint8Array): number {
  return new Reader(frame).int32()
}

/**
 * The value of a whole response frame, without the four bytes of its length, to a request sent in `version`. A broker that knows ApiVersions
 * only in older versions answers in version 0 with UNSUPPORTED_VERSION (KIP-511); that is understood. Throws `DecodeError`.
 */
export function decodeResponse<R>(
  api: Api<unknown, R>,
  version: number,
  frame: Uint8Array,
): { readonly correlationId: number; readonly value: R } {
  const reader = new Reader(frame, RESPONSE_LIMITS)
  const correlationId = readResponseHeader(reader, api, version)
  const value = decodeFrom(api.response, answeredVersion(api, version, frame), reader)
  reader.expectEnd()
  return { correlationId, value }
}

/** The answer to ApiVersions in a version that is not served: in version 0, naming only ApiVersions' own range (KIP-511). */
export function encodeUnsupportedApiVersions(correlationId: number): Uint8Array[] {
  const [minVersion, maxVersion] = ApiVersionsApi.advertised
  const value: ApiVersionsResponse = {
    errorCode: ErrorCode.UNSUPPORTED_VERSION,
    apiKeys: [{ apiKey: ApiVersionsApi.key, minVersion, maxVersion }],
    throttleTimeMs: 0,
    supportedFeatures: [],
    finalizedFeaturesEpoch: -1,
    finalizedFeatures: [],
    zkMigrationReady: false,
  }
  return encodeResponse(ApiVersionsApi, 0, correlationId, value)
}

function answeredVersion(api: Api, version: number, frame: Uint8Array): number {
  if (api.key !== ApiVersionsApi.key || frame.length < 6) return version
  const errorCode = (((frame[4] as number) << 24) | ((frame[5] as number) << 16)) >> 16
  return errorCode === ErrorCode.UNSUPPORTED_VERSION ? 0 : version
}

function framed(writer: Writer): Uint8Array[] {
  const length = writer.size - 4
  if (length > 0x7fff_ffff) throw new EncodeError(`a frame of ${length} bytes`)
  const parts = writer.parts()
  const first = parts[0] as Uint8Array
  first[0] = length >>> 24
  first[1] = length >>> 16
  first[2] = length >>> 8
  first[3] = length
  return parts
}
