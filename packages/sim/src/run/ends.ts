import { IoError, MillraceError } from '@millrace/base'
import { UncaughtError } from '../kernel/life.ts'
import { Violation } from '../seams.ts'
import type { NodeEnd } from './sim-node.ts'

/** The end of an incarnation, in words. */
export function tellEnd(end: NodeEnd): string {
  if (end.how === 'fatal') return `ended itself: ${end.code}: ${messageOf(end.cause)}`
  return end.how === 'refused' ? `gave up: ${messageOf(end.cause)}` : end.how
}

/**
 * The violation in an end that nobody caused: a broken invariant always; a disk or a folder that was given up although nothing was done to it.
 * `touched` tells whether the node's disk was made to fail or lie.
 */
export function forbiddenEnd(end: NodeEnd, touched: boolean): Violation | null {
  if (end.how !== 'fatal' && end.how !== 'refused') return null
  if (end.how === 'fatal' && end.code === 'broken-invariant') return new Violation('node-invariant', stackOf(end.cause))
  if (touched && (end.how === 'fatal' || isOfDisk(end.cause))) return null
  return new Violation(end.how === 'fatal' ? end.code : 'start-refused', stackOf(end.cause))
}

/** What a drive was ended by, as a violation; anything else is a mistake of the simulator and thrown on. */
export function asViolation(error: unknown): Violation {
  if (error instanceof Violation) return error
  if (error instanceof UncaughtError) return new Violation('uncaught', error.message)
  throw error
}

/** Whether a process ended at its start for what it finds on its disk, and so will the next one. */
export function refusedStart(end: NodeEnd): boolean {
  return end.how === 'refused' || (end.how === 'fatal' && isOfContent(end.cause))
}

/** A start that failed for what the disk did or holds. */
function isOfDisk(cause: unknown): boolean {
  return cause instanceof IoError || isOfContent(cause)
}

function isOfContent(cause: unknown): boolean {
  return cause instanceof MillraceError && (cause.code === 'DIRECTORY_FOREIGN' || cause.code === 'STORE_DAMAGED')
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

/** All that is known of a cause. */
export function stackOf(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}
