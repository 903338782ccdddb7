import { type Address, MillraceError } from '@millrace/base'

/** `host:port`, with brackets around an IPv6 host. Throws `MillraceError` CONFIG_INVALID. */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]/]+)):(\d{1,5})$/.exec(text.trim())
  const port = Number(match?.[3])
  if (match === null || port === 0 || port > 65_535)
    throw new MillraceError('CONFIG_INVALID', `"${text}" is not host:port`, {
      fix: 'Give the address of a broker, e.g. 127.0.0.1:9092 or [::1]:9092.',
    })
  return { host: (match[1] ?? match[2]) as string, port }
}

/** The address as people write it. */
export function addressText({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}
