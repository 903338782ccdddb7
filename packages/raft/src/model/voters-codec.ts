import type { VoterId, VotersCodec } from '../index.ts'

/** What the model proposes is ASCII. */
export function bytes(value: string): Uint8Array {
  const payload = new Uint8Array(value.length)
  for (let at = 0; at < value.length; at++) payload[at] = value.charCodeAt(at)
  return payload
}

export function text(payload: Uint8Array): string {
  return String.fromCharCode(...payload)
}

/** `2` is node 2 as it was born, `2b` the same node after a wipe: another voter. */
export function voterName(voter: VoterId): string {
  return voter.directoryId === 'a' ? String(voter.id) : `${voter.id}${voter.directoryId}`
}

export function voterOf(name: string): VoterId {
  const [, id, directoryId] = /^(\d+)([a-z]*)$/.exec(name) ?? []
  if (id === undefined) throw new Error(`${name} is no voter`)
  return { id: Number(id), directoryId: directoryId === '' ? 'a' : (directoryId as string) }
}

export const votersCodec: VotersCodec = {
  encode: (voters) => bytes(voters.map(voterName).join(' ')),
  decode: (payload) => text(payload).split(' ').filter(Boolean).map(voterOf),
}
