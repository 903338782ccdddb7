import type { ConfigType } from './config.ts'
import { LONG_MAX, LONG_MIN } from './int64.ts'

/** How the text of a key is checked: its type, and what is wrong with a text that is no value of it. */
export interface ValueRule {
  readonly type: ConfigType
  problem(text: string): string | null
}

interface Range {
  readonly min?: number
  readonly max?: number
}

const INT = { min: -0x8000_0000, max: 0x7fff_ffff }
const SHORT = { min: -0x8000, max: 0x7fff }

export const boolean: ValueRule = {
  type: 'boolean',
  problem: (text) => (/^(true|false)$/i.test(text.trim()) ? null : `${quoted(text)} is neither true nor false`),
}

export const text: ValueRule = { type: 'string', problem: () => null }
export const list: ValueRule = { type: 'list', problem: () => null }

export function int(range: Range = {}): ValueRule {
  return { type: 'int', problem: (text) => wholeProblem(text, { ...INT, ...range }) }
}

export function short(range: Range = {}): ValueRule {
  return { type: 'short', problem: (text) => wholeProblem(text, { ...SHORT, ...range }) }
}

export function long(range: Range = {}): ValueRule {
  return { type: 'long', problem: (text) => wholeProblem(text, { min: LONG_MIN, max: LONG_MAX, ...range }) }
}

export function double(range: Range = {}): ValueRule {
  return { type: 'double', problem: (text) => decimalProblem(text, range) }
}

/** One of these words, as they are written. */
export function oneOf(...words: readonly string[]): ValueRule {
  return {
    type: 'string',
    problem: (text) => (words.includes(text.trim()) ? null : `${quoted(text)} is none of ${words.join(', ')}`),
  }
}

/** Any of these words, each at most once, separated by commas; none at all is a value too. */
export function listOf(...words: readonly string[]): ValueRule {
  return {
    type: 'list',
    problem(text) {
      const parts = parseList(text)
      const strange = parts.find((part) => !words.includes(part))
      if (strange !== undefined) return `${quoted(strange)} is none of ${words.join(', ')}`
      return new Set(parts).size === parts.length ? null : `${quoted(text)} names a value twice`
    },
  }
}

/** For keys of which only the type is known. */
export function ruleOfType(type: ConfigType): ValueRule {
  switch (type) {
    case 'boolean':
      return boolean
    case 'int':
      return int()
    case 'short':
      return short()
    case 'long':
      return long()
    case 'double':
      return double()
    default:
      return { type, problem: () => null }
  }
}

export function parseBoolean(text: string): boolean {
  return text.trim().toLowerCase() === 'true'
}

/** A whole number; one too large to be exact is `LONG_MAX` or `LONG_MIN`, which all mean "without limit". NaN when it is none. */
export function parseWhole(text: string): number {
  const trimmed = text.trim()
  if (!/^[+-]?\d+$/.test(trimmed)) return Number.NaN
  const value = Number(trimmed)
  if (Number.isSafeInteger(value)) return value
  return value > 0 ? LONG_MAX : LONG_MIN
}

/** The parts between commas, without blanks around them and without empty ones. */
export function parseList(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function wholeProblem(text: string, { min, max }: Required<Range>): string | null {
  if (!/^[+-]?\d{1,40}$/.test(text.trim())) return `${quoted(text)} is not a whole number`
  const exact = BigInt(text.trim().replace(/^\+/, ''))
  // The doubles nearest to Long's bounds stand for the bounds themselves.
  if (exact > (max === LONG_MAX ? BigInt(max) - 1n : BigInt(max))) return `${text.trim()} is more than ${bound(max)}`
  if (exact < BigInt(min)) return `${text.trim()} is less than ${bound(min)}`
  return null
}

function bound(value: number): string {
  return value === LONG_MAX ? '9223372036854775807' : value === LONG_MIN ? '-9223372036854775808' : String(value)
}

function decimalProblem(text: string, { min, max }: Range): string | null {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) return `${quoted(text)} is not a number`
  if (min !== undefined && value < min) return `${text.trim()} is less than ${min}`
  if (max !== undefined && value > max) return `${text.trim()} is more than ${max}`
  return null
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}
