import type { Address } from '@millrace/base'

/**
 * Why nothing can be dialled at this address, or null. Addresses come from other nodes' registrations and from clients' metadata, and
 * Node throws at some of what they may hold, and takes an empty host for this machine.
 */
export function addressProblem({ host, port }: Address): string | null {
  if (host === '' || host.includes('\0')) return `${JSON.stringify(host)} is not the name of a host`
  if (!Number.isInteger(port) || port < 1 || port > 65_535) return `${port} is not a port`
  return null
}
