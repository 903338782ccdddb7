/** A date, or a date and time such as 2026-01-31T12:00:00Z, in milliseconds since 1970; without a zone it is UTC. NaN for everything else. */
export function isoTime(text: string): number {
  // `Date.parse` alone finds a date in almost any text, and takes a time without a zone for that of this machine.
  const match = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/.exec(text)
  if (match === null) return Number.NaN
  const [, time, zone] = match
  return Date.parse(time !== undefined && zone === undefined ? `${text}Z` : text)
}

const DURATION = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/

/** A duration such as P1DT2H30M, in milliseconds. NaN for everything else. */
export function isoDuration(text: string): number {
  const match = DURATION.exec(text.toUpperCase())
  const given = match?.slice(1).some((part) => part !== undefined) === true
  if (!given || /T$/i.test(text)) return Number.NaN
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = (match as readonly (string | undefined)[])
    .slice(1)
    .map((part) => Number(part ?? 0))
  return Math.round((((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1_000)
}
