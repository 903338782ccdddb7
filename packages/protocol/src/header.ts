import { DecodeError, Reader } from '@millrace/schema'
import type { Writer } from '@millrace/schema'
import type { Api } from './api.ts'
import { ApiVersionsApi } from './messages/18-api-versions.ts'
import { apiByKey } from './registry.ts'

/** What comes before a request's body. */
export interface RequestHeader {
  readonly api: Api
  readonly apiKey: number
  readonly apiVersion: number
  /** Chosen by the client, which may choose negative ones; goes back in the response. */
  readonly correlationId: number
  readonly clientId: string | null
  /**
   * False only for ApiVersions in a version that is not served: the answer then is `encodeUnsupportedApiVersions` (KIP-511), and the body
   * must not be decoded. Every other unsupported request is a DecodeError.
   */
  readonly supported: boolean
  /** Where the body starts in the frame. */
  readonly bodyAt: number
}

/** 2 for the flexible versions of an API, which have a tag section, else 1. Version 0 died with ControlledShutdown. */
export function requestHeaderVersion(api: Api, version: number): 1 | 2 {
  return isFlexible(api, version) ? 2 : 1
}

/**
 * 1 for the flexible versions of an API, else 0; and 0 for every version of ApiVersions, whose response a client must be able to read before
 * it knows what the broker speaks.
 */
export function responseHeaderVersion(api: Api, version: number): 0 | 1 {
  return isFlexible(api, version) && api.key !== ApiVersionsApi.key ? 1 : 0
}

/**
 * The header of a request frame, without the four bytes of its length. Throws `DecodeError` when it is malformed, when no such API is
 * declared, or when the version is not served: in all these cases the connection is closed without an answer.
 */
export function decodeRequestHeader(frame: Uint8Array): RequestHeader {
  return readRequestHeader(new Reader(frame))
}

export function readRequestHeader(reader: Reader): RequestHeader {
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  const api = apiByKey(apiKey)
  if (api === undefined) throw new DecodeError(`no API has the key ${apiKey}`)
  const supported = apiVersion >= api.versions[0] && apiVersion <= api.versions[1]
  if (!supported && api.key !== ApiVersionsApi.key)
    throw new DecodeError(
      `${api.name} is served from version ${api.versions[0]} to ${api.versions[1]}, not ${apiVersion}`,
    )
  const clientId = readClassicString(reader)
  if (requestHeaderVersion(api, apiVersion) === 2) skipTags(reader)
  return { api, apiKey, apiVersion, correlationId, clientId, supported, bodyAt: reader.at }
}

export interface RequestHeaderFields {
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
}

export function writeRequestHeader(
  writer: Writer,
  api: Api,
  { version, correlationId, clientId }: RequestHeaderFields,
): void {
  writer.int16(api.key)
  writer.int16(version)
  writer.int32(correlationId)
  // The client id keeps its classic form even in header version 2, so that a broker can read it in a request newer than itself.
  if (clientId === null) writer.int16(-1)
  else writer.text(clientId, false)
  if (requestHeaderVersion(api, version) === 2) writer.uint8(0)
}

/** Reads what comes before a response's body and returns the correlation id. */
export function readResponseHeader(reader: Reader, api: Api, version: number): number {
  const correlationId = reader.int32()
  if (responseHeaderVersion(api, version) === 1) skipTags(reader)
  return correlationId
}

export function writeResponseHeader(writer: Writer, api: Api, version: number, correlationId: number): void {
  writer.int32(correlationId)
  if (responseHeaderVersion(api, version) === 1) writer.uint8(0)
}

function isFlexible(api: Api, version: number): boolean {
  return api.flexible !== null && version >= api.flexible
}

function readClassicString(reader: Reader): string | null {
  const length = reader.int16()
  if (length === -1) return null
  if (length < -1) throw new DecodeError(`clientId: length ${length}`)
  return reader.text(length)
}

/** No header has a tagged field yet; newer peers may send some. */
function skipTags(reader: Reader): void {
  const count = reader.uvarint()
  reader.expectElements(count, 2)
  let last = -1
  for (let i = 0; i < count; i++) {
    const tag = reader.uvarint()
    if (tag <= last) throw new DecodeError(`tag ${tag} after tag ${last} in the header`)
    last = tag
    reader.skip(reader.uvarint())
  }
}
