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

const UNITS = [
  [86_400, 'd'],
  [3_600, 'h'],
  [60, 'm'],
  [1, 's'],
] as const

/** Seconds for people: `0s`, `120ms`, `12.3s`, `3m 20s`, `2d 5h`; a dash where they are not known. */
export function durationText(seconds: number | null): string {
  if (seconds === null) return '-'
  if (seconds > 0 && seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))}ms`
  if (seconds < 60) return `${Math.round(seconds * 10) / 10}s`
  const whole = Math.round(seconds)
  const at = UNITS.findIndex(([unit]) => whole >= unit)
  const [large, name] = UNITS[at] as (typeof UNITS)[number]
  const [small, smaller] = UNITS[at + 1] as (typeof UNITS)[number]
  const rest = Math.floor((whole % large) / small)
  return `${Math.floor(whole / large)}${name}${rest === 0 ? '' : ` ${rest}${smaller}`}`
}
